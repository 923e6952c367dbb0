// Headings link to themselves, and a link that leads into something folded unfolds it.

for (const heading of document.querySelectorAll(":is(h2, h3)[id]")) {
  const link = make("a", {class: "self", href: `#${heading.id}`});
  link.append(...heading.childNodes);
  heading.append(link);
}

const unfold = hash => {
  const target = hash.length > 1 && document.getElementById(hash.slice(1));
  if (!target) return;
  for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
};
const unfoldHere = () => {
  unfold(location.hash);
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
};
addEventListener("hashchange", unfoldHere);
addEventListener("click", event => {
  const link = event.target.closest?.('a[href^="#"]');
  if (link) unfold(link.hash);
});
if (location.hash) unfoldHere();
