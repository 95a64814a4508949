// The same case through all chosen models, from <dataset>/<task>/cases.js, which is loaded when
// first asked for.
"use strict";

usbench.cases = (() => {
  const { h, state } = usbench;
  const ORDERS = {
    disagreement: "disagreement",
    worst: "worst first",
    best: "best first",
    release: "as in the release",
  };
  const KEYS = {
    target: "target (solid)",
    prediction: "prediction (dashed)",
    missed: "missed (slanted)",
    extra: "too much (crossed)",
  };
  const loaded = new Map(); // dataset/task → a promise of its cases
  const arrived = new Map();
  let refresh = () => {}; // draws another case, or the cases in another order

  usbench.addCases = (name, data) => arrived.set(name, data);

  function load(name) {
    if (!loaded.has(name)) {
      loaded.set(
        name,
        usbench.loadScript(`${name}/cases.js`).then(() => arrived.get(name) || null),
      );
    }
    return loaded.get(name);
  }

  // ---- which case

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / (values.length || 1);
  const spread = (values) => (values.length ? Math.max(...values) - Math.min(...values) : 0);

  // Places of the cases in an order; runs: of the models. An error in px is better when lower.
  function order(data, runs, name, higher) {
    const sign = higher ? 1 : -1;
    const qualities = (place) =>
      runs.map((id) => data.runs[id][place]?.quality).filter((value) => typeof value === "number");
    const keys = {
      disagreement: (place) => -spread(qualities(place)),
      worst: (place) => sign * mean(qualities(place)),
      best: (place) => -sign * mean(qualities(place)),
      release: (place) => place,
    };
    const keyed = data.cases.map((_, place) => [keys[name](place), place]);
    return keyed.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, place]) => place);
  }

  // ---- pictures

  // One pane; shapes: null draws the target alone.
  function picture(shared, shapes, label, quality = "") {
    const [height, width] = shared.size;
    const alt = `${shared.case}: ${label} ${quality}`.trim();
    const image = h("img", { src: `data:image/jpeg;base64,${shared.jpeg}`, alt, width, height });
    const drawn = usbench.compareOverlay.draw(shared.size, shared.target.shapes, shapes);
    const frame = h(
      "div",
      { class: "frame", style: `aspect-ratio: ${width} / ${height}` },
      image,
      drawn,
    );
    return h(
      "figure",
      { class: "case" },
      frame,
      h("figcaption", {}, label, " ", h("strong", {}, quality)),
    );
  }

  function panes(data, models, place) {
    const shared = data.cases[place];
    const pane = ({ row, letter, id }) => {
      const own = data.runs[id][place];
      const label = `${letter} ${row.name}`;
      if (!own) return h("p", { class: "muted" }, `${label}: this case isn't kept`);
      return picture(shared, own.prediction.shapes, label, usbench.forest.number(own.quality));
    };
    return [picture(shared, null, "target"), ...models.map(pane)];
  }

  const keys = () =>
    h(
      "ul",
      { class: "keys" },
      Object.entries(KEYS).map(([kind, text]) =>
        h("li", {}, h("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), text),
      ),
    );

  // ---- the viewer

  // The chosen models that have pictures: of each its first result that has.
  function modelsOf(data, task, chosen) {
    const runOf = (row) =>
      (task.origins[row.id]?.runs || []).map(({ id }) => id).find((id) => data.runs[id]);
    return chosen
      .map((row, n) => ({ row, letter: usbench.letter(n), id: runOf(row) }))
      .filter(({ id }) => id);
  }

  // The elements of the viewer, which `refresh` fills.
  function viewerParts(step) {
    const orders = Object.entries(ORDERS);
    const setOrder = (value) => state.set({ order: value, case: null });
    return {
      name: h("strong", { role: "status" }),
      strip: h("div", { class: "cases" }),
      select: usbench.select("order", orders, "", setOrder),
      back: usbench.button("◀", () => step(-1), { "aria-label": "Previous case" }),
      forth: usbench.button("▶", () => step(1), { "aria-label": "Next case" }),
      label: h("label", { for: "order" }, "Sort by"),
    };
  }

  function viewer(data, table, models) {
    const runs = models.map(({ id }) => id);
    let places = [];
    const isAsked = (place) => data.cases[place].case === state.current.params.case;
    const current = () => Math.max(0, places.findIndex(isAsked));
    const parts = viewerParts((by) => {
      const next = places[(places.length + current() + by) % places.length];
      state.set({ case: data.cases[next].case }, true);
    });
    const { name, strip, select, back, forth, label } = parts;
    refresh = () => {
      const asked = state.current.params.order;
      select.value = ORDERS[asked] ? asked : "disagreement";
      places = order(data, runs, select.value, table.higher);
      const shown = current();
      name.textContent = `${data.cases[places[shown]].case} (${shown + 1} of ${places.length})`;
      strip.replaceChildren(...panes(data, models, places[shown]));
    };
    refresh();
    const tools = h("div", { class: "row" }, back, name, forth, label, select);
    const own = "The number is this image's score, from one seed. ";
    return [tools, strip, keys(), usbench.small(own, `Images: ${data.attribution.replace(/\.$/, "")}.`)];
  }

  // Fill an element once the cases have arrived.
  async function fill(element, task, table, chosen) {
    const data = await load(task.id);
    if (!element.isConnected) return;
    const models = data ? modelsOf(data, task, chosen) : [];
    const missing = data
      ? "None of these models has pictures."
      : `${task.id}/cases.js isn't beside this page.`;
    element.replaceChildren(
      ...(models.length ? viewer(data, table, models) : [h("p", { class: "muted" }, missing)]),
    );
  }

  return { fill, order, refresh: () => refresh() };
})();
