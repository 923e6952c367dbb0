// Values of points: near the pointer, and by the arrow keys within a figure that has the focus.

const tip = make("div", {class: "tip", "aria-hidden": "true", hidden: ""});
const ring = make("div", {class: "ring", "aria-hidden": "true", hidden: ""});
document.body.append(ring, tip);

const hide = () => { tip.hidden = ring.hidden = true; };
const show = point => {
  const box = point.getBoundingClientRect();
  tip.textContent = point.dataset.tip;
  tip.hidden = ring.hidden = false;
  const edge = 4;
  ring.style.cssText = `left: ${box.left - edge + scrollX}px; top: ${box.top - edge + scrollY}px;`
    + `width: ${box.width + 2 * edge}px; height: ${box.height + 2 * edge}px`;
  const middle = (box.left + box.right - tip.offsetWidth) / 2;
  const left = Math.max(8, Math.min(middle, document.documentElement.clientWidth - tip.offsetWidth - 8));
  const above = box.top - tip.offsetHeight - 10;
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(above > 4 ? above : box.bottom + 10) + scrollY}px`;
};

const REACH = 24;
// The point under the pointer or nearest to it, as far as a finger is thick.
const nearest = (points, x, y) => {
  let best = null;
  let least = [REACH, 0];
  for (const point of points) {
    const box = point.getBoundingClientRect();
    const away = Math.hypot(Math.max(box.left - x, 0, x - box.right), Math.max(box.top - y, 0, y - box.bottom));
    const middle = Math.hypot((box.left + box.right) / 2 - x, (box.top + box.bottom) / 2 - y);
    if (away < least[0] || (away === least[0] && best && middle < least[1])) [best, least] = [point, [away, middle]];
  }
  return best;
};

const explorable = (figure, points) => {
  let at = 0;
  const under = event => {
    const point = nearest(points, event.clientX, event.clientY);
    if (!point) return hide();
    at = points.indexOf(point);
    return show(point);
  };
  const tell = () => {
    show(points[at]);
    say(`${points[at].dataset.tip} (${at + 1} of ${points.length})`);
  };
  figure.setAttribute("tabindex", "0");
  figure.addEventListener("pointermove", under);
  figure.addEventListener("pointerdown", under);
  figure.addEventListener("pointerleave", event => { if (event.pointerType === "mouse") hide(); });
  figure.addEventListener("focus", () => { if (figure.matches(":focus-visible")) tell(); });
  figure.addEventListener("blur", hide);
  figure.addEventListener("keydown", event => {
    const last = points.length - 1;
    const steps = {ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last};
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    at = Math.max(0, Math.min(last, steps[event.key]));
    event.preventDefault();
    tell();
  });
};

for (const figure of document.querySelectorAll(".panel svg")) {
  const points = [...figure.querySelectorAll("[data-tip]")];
  if (points.length) explorable(figure, points);
}
addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
addEventListener("pointerdown", event => { if (!event.target.closest?.("svg")) hide(); });
addEventListener("resize", hide);
