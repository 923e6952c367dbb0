// Which axis is shown: a choice in every part that has pictures of several axes, and one choice for all of them.

const choices = [];
const choose = axis => {
  for (const {panels, fields, axes} of choices) {
    const shown = axes.includes(axis) ? axis : "";
    for (const panel of panels) panel.hidden = shown !== "" && panel.dataset.axis !== shown;
    for (const field of fields) field.checked = field.value === shown;
  }
};

for (const part of document.querySelectorAll("article, section:not(:has(article))")) {
  const panels = [...part.querySelectorAll("[data-axis]")];
  const axes = [...new Set(panels.map(panel => panel.dataset.axis))];
  if (axes.length < 2) continue;
  const fields = ["", ...axes].map(axis =>
    make("input", {type: "radio", name: `axis-${choices.length}`, value: axis, ...(axis ? {} : {checked: ""})}));
  const labels = fields.map(field => make("label", {}, field, make("span", {}, field.value || "all")));
  const group = make("fieldset", {class: "axes"}, make("legend", {}, "Axes shown"), ...labels);
  group.addEventListener("change", event => {
    const before = group.getBoundingClientRect().top;
    choose(event.target.value);
    scrollBy({top: group.getBoundingClientRect().top - before, behavior: "instant"});
  });
  const first = panels[0].closest("figure");
  (first.previousElementSibling?.matches("h4") ? first.previousElementSibling : first).before(group);
  choices.push({panels, fields, axes});
}
