// Paper has no folds: open what is collapsed before printing, and put it back afterwards.
(() => {
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.activeElement?.blur();
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.closest?.("input")) return; // arrow keys step through a walk there
    const way = { ArrowLeft: "prev", ArrowRight: "next" }[event.key]; // pages of a dossier know their neighbours
    if (way) document.querySelector(`a[rel="${way}"]`)?.click();
  });
})();
