// What every part uses: elements made without markup, a voice for screen readers, and the text of a cell.

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

const button = (text, attributes, act) => {
  const made = make("button", {type: "button", ...attributes}, text);
  made.addEventListener("click", act);
  return made;
};

const voice = make("div", {class: "unseen", role: "status", "aria-live": "polite"});
document.body.append(voice);
const say = text => { voice.textContent = text; };

const PLAIN = {
  text: text => text,
  math: text => text,
  power: (base, exponent) => base + (/^[\d−]+$/.test(exponent)
    ? [...exponent].map(sign => "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"["0123456789−".indexOf(sign)]).join("") : `^${bracketed(exponent)}`),
  times: left => /\^\S+$/.test(left) ? "·" : "",  // where an exponent would run on
  index: (base, below) => base + (below === "2" ? "₂" : `_${below}`),
  fraction: (above, below) => `${bracketed(above)}/${bracketed(below)}`,
  root: inside => `√(${inside})`,
  name: name => name,
  sign: sign => sign,
};
const bracketed = text => /^[\p{L}\d.]+$/u.test(text) ? text : `(${text})`;

// A formula in MathML in another notation.
const formula = (node, to) => {
  const parts = [...node.children].map(child => formula(child, to));
  switch (node.localName) {
    case "mi": return to.name(node.textContent);
    case "mn": return to.sign(node.textContent);
    case "mo": return operator(node.textContent, to);
    case "msup": return to.power(...parts);
    case "msub": return to.index(...parts);
    case "mfrac": return to.fraction(...parts);
    case "msqrt": return to.root(parts.join(""));
    default: return parts.reduce((left, part, i) =>
      left + (node.children[i].textContent === "\u2062" ? to.times(left) : part), "");
  }
};
const operator = (sign, to) => {
  if (sign === ",") return ", ";
  return /^[+−]$|mod/.test(sign) ? ` ${to.sign(sign)} ` : to.sign(sign);
};

// What a cell says in one line: formulas in the notation asked for, no ornaments, a semicolon between its pieces.
const PIECES = "small:not(.metric), .exponent, .aside, .chip, br";
const said = (node, to = PLAIN) => [...node.childNodes].map(child => {
  if (child.nodeType === Node.TEXT_NODE) return to.text(child.data.replace(/\s+/g, " "));
  if (child.nodeType !== Node.ELEMENT_NODE || child.matches("[aria-hidden], sup")) return "";
  if (child.localName === "math") return to.math(formula(child, to).trim());
  return (child.matches(PIECES) ? "; " : "") + said(child, to);
}).join("");
const line = (cell, to) => said(cell, to).replace(/\s+/g, " ").replace(/(\s*;\s*)+/g, "; ").replace(/^[; ]+|[; ]+$/g, "");
