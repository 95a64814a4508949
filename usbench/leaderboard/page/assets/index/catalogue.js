// The view Datasets: one table of the catalogue's datasets or models, what is runnable first, and
// filters.
"use strict";

usbench.catalogue = (() => {
  const { h, state, tips } = usbench;
  const FACETS = { anatomy: "Anatomy", tasks: "Task", access: "Access", licence: "Licence" };
  const QUALITY = [
    "quality",
    "Points by our rubric; a range where something isn't known. See the card.",
  ];
  const COLUMNS = {
    // title → what it means
    datasets: [
      ["dataset", "Its name; the card has all that is known of it."],
      ["anatomy", "What the images show."],
      ["task", "What its annotations allow."],
      ["images", "How many images or videos are public."],
      ["subjects", "How many people or animals they are of, where known."],
      ["access", "How one gets it."],
      ["licence", "What its authors allow."],
      QUALITY,
      ["results", "Its scores on this page, or the command that makes the first one."],
    ],
    models: [
      ["model", "Its name; the card has all that is known of it."],
      ["task", "What it predicts."],
      ["parameters", "How many numbers it learns."],
      ["licence", "Of its code or weights."],
      QUALITY,
      ["command", "What runs it on your machine."],
    ],
  };
  const RUNNABLE = [
    ["", "all"],
    ["1", "runnable here"],
  ];
  const SORTS = {
    "": ["runnable first", () => 0],
    name: ["name", (a, b) => a.name.localeCompare(b.name, "en")],
    year: [
      "year, newest first",
      (a, b) => (b.amounts.year || "").localeCompare(a.amounts.year || ""),
    ],
    quality: ["quality, best first", (a, b) => b.low - a.low],
  };

  function fits(card, params) {
    const text = [card.name, card.id, card.text, ...Object.values(card.facets).flat()]
      .join(" ")
      .toLowerCase();
    const words = (params.q || "").toLowerCase().split(/\s+/);
    const hasFacet = (name) => !params[name] || (card.facets[name] || []).includes(params[name]);
    const isWanted = params.run !== "1" || card.command;
    return (
      isWanted && words.every((word) => text.includes(word)) && Object.keys(FACETS).every(hasFacet)
    );
  }

  // ---- the table

  // Links to a dataset's results, else the command that runs the card.
  function results(data, kind, card) {
    const tasks = kind === "datasets" ? data.tasks.filter((task) => task.dataset === card.key) : [];
    if (tasks.length) {
      return tasks
        .map((task, n) => [n ? ", " : "", h("a", { href: `#results/${task.id}` }, task.task)])
        .flat();
    }
    return card.command ? h("code", {}, card.command.replace(/^python -m /, "")) : "";
  }

  function texts(kind, { facets, amounts }) {
    const many = (name) => (facets[name] || []).join(", ");
    if (kind === "models") return [many("tasks"), amounts.parameters || "", many("licence")];
    const size = ["images", "videos"]
      .filter((name) => amounts[name])
      .map((name) => `${amounts[name]} ${name}`);
    return [
      many("anatomy"),
      many("tasks"),
      size.join(", "),
      amounts.subjects || "",
      many("access"),
      many("licence"),
    ];
  }

  function line(data, kind, card, pictures) {
    const attributes = { class: "name", "aria-haspopup": "dialog" };
    const button = usbench.button(card.name, () => usbench.cards.open(kind, card), attributes);
    const runnable = card.command ? h("span", { class: "badge good" }, "runnable") : null;
    const more = h(
      "span",
      { class: "more" },
      runnable,
      h("span", { class: "sub" }, card.amounts.year || ""),
    );
    const picture = pictures.size
      ? h("td", { class: "picture" }, pictures.get(card.key)?.cloneNode(true))
      : null;
    const tier = card.tier ? h("span", { class: "muted" }, ` · ${card.tier}`) : null;
    const cells = [...texts(kind, card), [card.score, tier], results(data, kind, card)];
    return h(
      "tr",
      {},
      picture,
      h("th", { scope: "row", class: "model" }, button, more),
      cells.map((cell) => h("td", {}, cell)),
    );
  }

  function table(data, kind, cards, pictures) {
    const heads = COLUMNS[kind].map(([title, tip], n) =>
      h("th", { scope: "col", class: n ? null : "model" }, tips.term(title, tip)),
    );
    if (pictures.size)
      heads.unshift(h("th", { scope: "col" }, h("span", { class: "unseen" }, "picture")));
    const caption = `${cards.length} ${kind}`;
    const parts = [h("caption", { class: "unseen" }, caption), h("thead", {}, h("tr", {}, heads))];
    const body = h(
      "tbody",
      {},
      cards.map((card) => line(data, kind, card, pictures)),
    );
    return usbench.region(
      caption,
      h("table", { class: "board catalogue" }, parts, body),
      "board-scroll",
    );
  }

  // Pictures of the findings, where licences allow them, by dataset.
  function collectPictures() {
    const cards = [...document.querySelectorAll(".finding")].filter((card) =>
      card.querySelector(".thumb"),
    );
    return new Map(cards.map((card) => [card.dataset.dataset, card.querySelector(".thumb")]));
  }

  // ---- filters

  // [name, label, [value, text] of each choice] of the selects.
  function choicesOf(cards) {
    const values = (name) => [...new Set(cards.flatMap((card) => card.facets[name] || []))].sort();
    const options = (name) => [["", "all"], ...values(name).map((value) => [value, value])];
    const facets = Object.entries(FACETS).filter(([name]) => values(name).length > 1);
    return [
      ...facets.map(([name, label]) => [name, label, options(name)]),
      ["run", "Runnable", RUNNABLE],
      ["sort", "Sort by", Object.entries(SORTS).map(([key, [text]]) => [key, text])],
    ];
  }

  function filters(data, kind) {
    const choices = choicesOf(data.catalogue[kind]).map(([name, label, options]) => {
      const change = (value) => state.set({ [name]: value });
      const select = usbench.select(`facet-${name}`, options, "", change);
      return { name, select, field: usbench.field(label, select) };
    });
    const placeholder = "name, device, class …";
    const typed = h("input", { id: "facet-q", type: "search", placeholder });
    typed.addEventListener("input", () => state.set({ q: typed.value }, true));
    const fields = [usbench.field("Filter", typed), ...choices.map(({ field }) => field)];
    return { choices, typed, fields };
  }

  function followState({ choices, typed }, params) {
    for (const { name, select } of choices) select.value = params[name] || "";
    if (document.activeElement !== typed) typed.value = params.q || "";
  }

  // ---- the view

  function build(root, data) {
    const address = (kind) =>
      state.format({ view: "datasets", where: kind === "models" ? kind : "", params: {} });
    const links = ["datasets", "models"].map((kind) =>
      h("a", { href: address(kind), "data-kind": kind }, kind),
    );
    const tools = h("div", { class: "tools" });
    const count = h("p", { class: "muted", role: "status" });
    const body = h("div");
    const pictures = collectPictures();
    const how = usbench.button("How quality is scored", usbench.cards.openRubrics);
    root.append(h("div", { class: "row kinds" }, links, how), tools, count, body);
    let shown = null;
    let controls = null;
    return ({ where, params }) => {
      const kind = where.startsWith("models") ? "models" : "datasets";
      for (const link of links) link.toggleAttribute("aria-current", link.dataset.kind === kind);
      if (shown !== kind) {
        controls = filters(data, kind);
        tools.replaceChildren(...controls.fields);
        shown = kind;
      }
      followState(controls, params);
      const [, order] = SORTS[params.sort || ""] || SORTS[""];
      const cards = data.catalogue[kind].filter((card) => fits(card, params)).sort(order);
      const runnable = cards.filter((card) => card.command).length;
      const total = data.catalogue[kind].length;
      count.textContent = `${cards.length} of ${total} ${kind}, ${runnable} runnable here`;
      body.replaceChildren(table(data, kind, cards, kind === "datasets" ? pictures : new Map()));
    };
  }

  return { build };
})();
