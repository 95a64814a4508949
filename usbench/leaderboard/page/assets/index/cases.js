// The same case through all chosen models, from <dataset>/<task>/cases.js, which is loaded when first asked for.
"use strict";

usbench.cases = (() => {
  const { h, state } = usbench;
  const loaded = new Map(); // dataset/task → a promise of its cases
  const arrived = new Map();
  let refresh = () => {}; // draws another case, or the cases in another order
  const ORDERS = { disagreement: "disagreement", worst: "worst first", best: "best first", release: "as in the release" };

  usbench.addCases = (name, data) => arrived.set(name, data);

  function load(name) {
    if (!loaded.has(name)) {
      loaded.set(name, new Promise((resolve) => {
        const script = h("script", { src: `${name}/cases.js`, onload: () => resolve(arrived.get(name) || null), onerror: () => resolve(null) });
        document.head.append(script);
      }));
    }
    return loaded.get(name);
  }

  // What a row predicts for each case: of its first result that has pictures.
  const runOf = (data, task, row) => (task.origins[row.id]?.runs || []).map((run) => run.id).find((id) => data.runs[id]);

  function qualities(data, ids, place) {
    return ids.map((id) => data.runs[id][place]?.quality).filter((value) => typeof value === "number");
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / (values.length || 1);
  const spread = (values) => (values.length ? Math.max(...values) - Math.min(...values) : 0);

  // Places of the cases in an order; an error in px is better when lower.
  function order(data, ids, name, higher) {
    const places = data.cases.map((_, place) => place);
    const keys = {
      disagreement: (place) => -spread(qualities(data, ids, place)),
      worst: (place) => (higher ? 1 : -1) * mean(qualities(data, ids, place)),
      best: (place) => (higher ? -1 : 1) * mean(qualities(data, ids, place)),
      release: (place) => place,
    };
    return places.map((place) => [keys[name](place), place]).sort((a, b) => a[0] - b[0] || a[1] - b[1]).map(([, place]) => place);
  }

  function picture(shared, shapes, label, quality) {
    const image = h("img", { src: `data:image/jpeg;base64,${shared.jpeg}`, alt: `${shared.case}: ${label}${quality === "" ? "" : `, ${quality}`}`, width: shared.size[1], height: shared.size[0] });
    return h("figure", { class: "case" }, h("div", { class: "frame", style: `aspect-ratio: ${shared.size[1]} / ${shared.size[0]}` }, image, usbench.compareOverlay.draw(shared.size, shared.target.shapes, shapes)),
      h("figcaption", {}, label, quality === "" ? null : h("strong", {}, ` ${quality}`)));
  }

  function panes(data, task, models, place) {
    const shared = data.cases[place];
    return [picture(shared, null, "target", ""), ...models.map(({ row, n, id }) => {
      const own = data.runs[id][place];
      if (!own) return h("p", { class: "muted" }, `${usbench.letter(n)} ${row.name}: this case isn't kept`);
      return picture(shared, own.prediction.shapes, `${usbench.letter(n)} ${row.name}`, usbench.forest.number(own.quality));
    })];
  }

  const KEY = [["target", "target (solid)"], ["prediction", "prediction (dashed)"], ["missed", "missed (slanted)"], ["extra", "too much (crossed)"]];

  function viewer(data, task, table, chosen) {
    const models = chosen.map((row, n) => ({ row, n, id: runOf(data, task, row) })).filter(({ id }) => id);
    if (!models.length) return [h("p", { class: "muted" }, "None of these models has pictures of these cases.")];
    const ids = models.map(({ id }) => id);
    const select = h("select", { id: "order", onchange: () => state.set({ order: select.value, case: null }) }, Object.entries(ORDERS).map(([value, text]) => h("option", { value }, text)));
    const name = h("strong", { role: "status" });
    const strip = h("div", { class: "cases" });
    let places = [];
    const at = () => Math.max(0, places.findIndex((place) => data.cases[place].case === state.current.params.case));
    const step = (by) => state.set({ case: data.cases[places[(places.length + at() + by) % places.length]].case }, true);
    function update() {
      const { params } = state.current;
      select.value = ORDERS[params.order] ? params.order : "disagreement";
      places = order(data, ids, select.value, table.higher);
      name.textContent = `${data.cases[places[at()]].case} (${at() + 1} of ${places.length})`;
      strip.replaceChildren(...panes(data, task, models, places[at()]));
    }
    refresh = update;
    update();
    return [h("div", { class: "row" }, h("button", { type: "button", "aria-label": "Previous case", onclick: () => step(-1) }, "◀"), name,
      h("button", { type: "button", "aria-label": "Next case", onclick: () => step(1) }, "▶"),
      h("label", { for: "order" }, "Sort by"), select),
    strip, h("ul", { class: "keys" }, KEY.map(([kind, text]) => h("li", {}, h("span", { class: `swatch ${kind}`, "aria-hidden": "true" }), ` ${text}`))),
    h("p", { class: "muted small" }, `The figure is each case's own quality, of one seed. Images: ${data.attribution}.`)];
  }

  // Fill an element once the cases have arrived.
  async function fill(element, task, table, chosen) {
    const data = await load(task.id);
    if (!element.isConnected) return;
    element.replaceChildren(...(data ? viewer(data, task, table, chosen) : [h("p", { class: "muted" }, `${task.id}/cases.js isn't beside this page.`)]));
  }

  return { fill, load, order, refresh: () => refresh() };
})();
