// Filters and sorting of the list. Without this script the list is whole, in its order, and every link leads somewhere.
(() => {
  const list = document.getElementById("entries");
  const controls = document.getElementById("controls");
  if (!list || !controls) return;
  const part = (name) => document.getElementById(name);
  const entries = [...list.children];
  const links = [...document.querySelectorAll("a[data-label]")];
  const boxes = ["suspected", "silent", "copied"];
  const chosen = ["label", "predicted"];
  const text = new Intl.Collator(undefined, { numeric: true });
  const by = {
    place: (a, b) => a.dataset.place - b.dataset.place,
    care: (a, b) => b.dataset.care - a.dataset.care,
    confidence: (a, b) => b.dataset.confidence - a.dataset.confidence,
    trust: (a, b) => b.dataset.trust - a.dataset.trust,
    group: (a, b) => a.dataset.label - b.dataset.label || a.dataset.predicted - b.dataset.predicted,
    name: (a, b) => text.compare(a.dataset.name, b.dataset.name),
  };

  const fits = (entry) =>
    chosen.every((name) => part(name).value === "" || part(name).value === entry.dataset[name]) &&
    boxes.every((name) => !part(name).checked || entry.dataset[name] === "1") &&
    entry.dataset.name.includes(part("search").value.trim().toLowerCase());

  const state = () => {
    const found = new URLSearchParams();
    for (const name of [...chosen, "sort", "search"]) if (part(name).value) found.set(name, part(name).value);
    for (const name of boxes) if (part(name).checked) found.set(name, "1");
    if (found.get("sort") === "place") found.delete("sort");
    return found;
  };

  const show = () => {
    let left = 0;
    for (const entry of entries) {
      entry.hidden = !fits(entry);
      if (!entry.hidden) left += 1;
    }
    list.append(...[...entries].sort((a, b) => by[part("sort").value](a, b) || by.place(a, b)));
    const now = state();
    part("count").value = left === entries.length ? `${left} shown` : `${left} of ${entries.length} shown`;
    part("none").hidden = left > 0;
    part("reset").hidden = now.toString() === "";
    for (const link of links) {
      const is = chosen.every((name) => part(name).value === link.dataset[name]);
      if (is) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    try {
      history.replaceState(null, "", now.toString() === "" ? location.pathname : `#${now}`);
    } catch {
      // a browser that keeps no history for files: the filters work all the same
    }
  };

  const reset = () => {
    for (const name of [...chosen, "search"]) part(name).value = "";
    for (const name of boxes) part(name).checked = false;
    part("sort").value = "place";
  };

  for (const link of links) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      const again = link.hasAttribute("aria-current");
      for (const name of chosen) part(name).value = again ? "" : link.dataset[name];
      show();
      if (!again) part("entries-title").scrollIntoView();
    });
  }
  for (const link of document.querySelectorAll(".places a")) {
    link.addEventListener("click", (event) => {
      const entry = part(link.getAttribute("href").slice(1));
      if (!entry) return;
      event.preventDefault();
      reset();
      show();
      entry.scrollIntoView();
      entry.querySelector("a")?.focus({ preventScroll: true });
    });
  }
  part("reset").addEventListener("click", () => {
    reset();
    show();
  });
  controls.addEventListener("input", show);
  controls.addEventListener("submit", (event) => event.preventDefault());

  const asked = new URLSearchParams(location.hash.slice(1));
  for (const name of [...chosen, "sort", "search"]) {
    const value = asked.get(name);
    if (value !== null && (name === "search" || [...part(name).options].some((one) => one.value === value))) {
      part(name).value = value;
    }
  }
  for (const name of boxes) part(name).checked = asked.get(name) === "1";
  controls.hidden = false;
  if (asked.toString() !== "" && !/^[er]-\d+$/.test(location.hash.slice(1))) show();
  else part("count").value = `${entries.length} shown`;
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
