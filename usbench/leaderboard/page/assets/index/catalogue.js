// The view Datasets: one table of the catalogue's datasets or models, filters, and each card in full from assets/catalogue.js.
"use strict";

usbench.catalogue = (() => {
  const { h, state, copyable } = usbench;
  const FACETS = { anatomy: "Anatomy", tasks: "Task", access: "Access", licence: "Licence" };
  const COLUMNS = { // title → what it means
    datasets: [["anatomy", "What the images show."], ["task", "What its annotations allow."], ["images", "How many images or videos are public."], ["subjects", "How many people or animals they are of, where known."],
      ["access", "How one gets it."], ["licence", "What its authors allow."], ["quality", "Points by our rubric; a range where something isn't known. See the card."], ["results", "Its scores on this page, or the command that makes the first one."]],
    models: [["task", "What it predicts."], ["parameters", "How many numbers it learns."], ["licence", "Of its code or weights."], ["quality", "Points by our rubric; a range where something isn't known. See the card."], ["results", "The command that runs it."]],
  };
  let details = null; // a promise of the cards in full
  let arrived = null;
  usbench.addCatalogue = (data) => { arrived = data; };

  function load() {
    details ||= new Promise((resolve) => {
      document.head.append(h("script", { src: "assets/catalogue.js", onload: () => resolve(arrived), onerror: () => resolve(null) }));
    });
    return details;
  }

  const range = (low, high) => (low === high ? `${low}` : `${low}–${high}`);

  async function openCard(kind, card) {
    usbench.dialog(card.name, h("p", {}, "Loading …"));
    const all = await load();
    if (!all) usbench.dialog(card.name, h("p", {}, "assets/catalogue.js isn't beside this page; CATALOGUE.md has the card."));
    else usbench.dialog(card.name, inFull(card, all[kind][card.id], all.rubrics));
  }

  function inFull(card, full, rubrics) {
    return [
      card.command ? [h("h3", {}, "Run it"), copyable(card.command, "the command")] : h("p", { class: "muted" }, "usbench doesn't run it."),
      h("h3", {}, "The card"),
      h("dl", { class: "facts" }, full.fields.map(([name, text, source, verified]) => [h("dt", {}, name),
        h("dd", {}, usbench.linked(text), source ? h("span", { class: "muted small" }, " — ", usbench.linked(source), ` (verified: ${verified})`) : null)])),
      full.missing.length ? h("p", { class: "muted" }, `Not known: ${full.missing.join(", ")}.`) : null,
      h("p", { class: "muted small" }, "Where nothing else is said: ", usbench.linked(full.source), ` (verified: ${full.verified}).`, full.row ? ` Row ${full.row} of the table of Alsharid et al. 2025.` : ""),
      h("h3", {}, `Quality: ${card.score}${card.tier ? `, tier ${card.tier}` : ""}`),
      h("p", { class: "muted" }, `By the rubric ${full.rubric}. What isn't known may be worth anything, so the score is then a range.`), points(full, rubrics[full.rubric])];
  }

  function points(full, rubric) {
    const words = Object.fromEntries((rubric?.criteria || []).map((one) => [one.name, one.words]));
    return usbench.results.plain("Points by criterion", ["criterion", "points", "of", "why"],
      full.parts.map(([name, low, high, of, why]) => [`${name}${words[name] ? `: ${words[name]}` : ""}`, range(low, high), of, why]));
  }

  // ---- the table

  function fits(card, params) {
    const text = [card.name, card.id, card.text, ...Object.values(card.facets).flat()].join(" ").toLowerCase();
    return (params.q || "").toLowerCase().split(/\s+/).every((word) => text.includes(word)) && (params.run !== "1" || card.command)
      && Object.keys(FACETS).every((name) => !params[name] || (card.facets[name] || []).includes(params[name]));
  }

  const SORTS = {
    runnable: ["runnable first", () => 0],
    name: ["name", (a, b) => a.name.localeCompare(b.name, "en")],
    year: ["year, newest first", (a, b) => (b.amounts.year || "").localeCompare(a.amounts.year || "")],
    quality: ["quality, best first", (a, b) => b.low - a.low],
  };

  function resultsOf(data, kind, card) {
    if (kind === "datasets") {
      const links = data.tasks.filter((task) => task.dataset === card.key).map((task) => h("a", { href: `#results/${task.id}` }, task.task));
      if (links.length) return links.map((link, n) => [n ? ", " : "", link]);
    }
    return card.command ? h("code", {}, card.command.replace(/^python -m /, "")) : "";
  }

  function line(data, kind, card, pictures) {
    const { facets, amounts } = card;
    const many = (name) => (facets[name] || []).join(", ");
    const size = [amounts.images && `${amounts.images} images`, amounts.videos && `${amounts.videos} videos`].filter(Boolean).join(", ");
    const cells = kind === "datasets" ? [many("anatomy"), many("tasks"), size, amounts.subjects || "", many("access"), many("licence")] : [many("tasks"), amounts.parameters || "", many("licence")];
    const name = h("th", { scope: "row", class: "model" }, h("button", { type: "button", class: "name", "aria-haspopup": "dialog", onclick: () => openCard(kind, card) }, card.name),
      h("span", { class: "more" }, card.command ? h("span", { class: "badge good" }, "runnable") : null, h("span", { class: "sub" }, amounts.year || "")));
    return h("tr", {}, pictures.size ? h("td", { class: "picture" }, pictures.get(card.key)?.cloneNode(true) || "") : null, name,
      cells.map((text) => h("td", {}, text)), h("td", {}, card.score, card.tier ? h("span", { class: "muted" }, ` · ${card.tier}`) : null), h("td", {}, resultsOf(data, kind, card)));
  }

  function table(data, kind, cards, pictures) {
    const heads = COLUMNS[kind].map(([title, tip]) => h("th", { scope: "col" }, usbench.tips.term(title, tip)));
    const caption = `${cards.length} ${kind}`;
    return h("div", { class: "scroll board-scroll", tabindex: 0, role: "region", "aria-label": caption }, h("table", { class: "board catalogue" }, h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, pictures.size ? h("th", { scope: "col" }, h("span", { class: "unseen" }, "picture")) : null, h("th", { scope: "col", class: "model" }, usbench.tips.term(kind === "datasets" ? "dataset" : "model", "Its name; the card has all that is known of it.")), heads)),
      h("tbody", {}, cards.map((card) => line(data, kind, card, pictures)))));
  }

  function select(name, label, options) {
    const element = h("select", { id: `facet-${name}`, onchange: () => state.set({ [name]: element.value }) }, options.map(([value, text]) => h("option", { value }, text)));
    return { name, element, field: h("div", { class: "field" }, h("label", { for: `facet-${name}` }, label), element) };
  }

  function filters(data, kind) {
    const values = (name) => [...new Set(data.catalogue[kind].flatMap((card) => card.facets[name] || []))].sort();
    const facets = Object.entries(FACETS).filter(([name]) => values(name).length > 1)
      .map(([name, label]) => select(name, label, [["", "all"], ...values(name).map((value) => [value, value])]));
    const run = select("run", "Runnable", [["", "all"], ["1", "runnable here"]]);
    const sort = select("sort", "Sort by", Object.entries(SORTS).map(([name, [label]]) => [name === "runnable" ? "" : name, label]));
    const typed = h("input", { id: "facet-q", type: "search", placeholder: "name, device, class …", oninput: () => state.set({ q: typed.value }, true) });
    return { selects: [...facets, run, sort], typed, field: h("div", { class: "field" }, h("label", { for: "facet-q" }, "Filter"), typed) };
  }

  // Pictures of the findings, where licences allow them, by dataset.
  function collectPictures() {
    const cards = [...document.querySelectorAll(".finding")].filter((card) => card.querySelector(".thumb"));
    return new Map(cards.map((card) => [card.dataset.dataset, card.querySelector(".thumb")]));
  }

  function build(root, data) {
    const kinds = h("div", { class: "row kinds" }, ["datasets", "models"].map((kind) => h("a", { href: state.format({ view: "datasets", where: kind === "datasets" ? "" : kind, params: {} }), "data-kind": kind }, kind)));
    const [tools, count, body] = [h("div", { class: "tools" }), h("p", { class: "muted", role: "status" }), h("div")];
    const pictures = collectPictures();
    root.append(kinds, tools, count, body);
    let shown = null;
    let controls = null;
    return ({ where, params }) => {
      const kind = where.startsWith("models") ? "models" : "datasets";
      for (const link of kinds.children) link.toggleAttribute("aria-current", link.dataset.kind === kind);
      if (shown !== kind) {
        controls = filters(data, kind);
        tools.replaceChildren(controls.field, ...controls.selects.map(({ field }) => field));
        shown = kind;
      }
      for (const { name, element } of controls.selects) element.value = params[name] || "";
      if (document.activeElement !== controls.typed) controls.typed.value = params.q || "";
      const [, order] = SORTS[params.sort] || SORTS.runnable;
      const cards = data.catalogue[kind].filter((card) => fits(card, params)).sort(order);
      count.textContent = `${cards.length} of ${data.catalogue[kind].length} ${kind}, ${cards.filter((card) => card.command).length} runnable here`;
      body.replaceChildren(table(data, kind, cards, kind === "datasets" ? pictures : new Map()));
    };
  }

  return { build, load, fits };
})();
