// The controls above a table. They stay while the table changes, so that none loses the focus.
"use strict";

// {elements, update}: the controls of a dataset and task, and how they follow the state.
usbench.controls = (data, task) => {
  const { h, state, rows } = usbench;
  const shownTable = () => rows.findTable(task, state.current.params);

  const label = (table) => (table.summary ? `${table.label}: ${table.summary}` : table.label);
  const protocols = task.tables.map((table) => [table.id, label(table)]);
  const protocol = usbench.select("protocol", protocols, "", (id) =>
    state.set({ protocol: id, sort: null, cols: null, all: null }),
  );
  const about = usbench.tips.help("", "what the protocol does");
  const filter = h("input", {
    type: "search",
    id: "filter",
    placeholder: "model, paper …",
    oninput: () => state.set({ q: filter.value, all: null }, true),
  });
  const clean = usbench.check(
    "",
    false,
    (on) => state.set({ clean: on ? "1" : null, sort: null }),
    data.glossary["without leaking images"],
  );
  const compare = h("a", { class: "button main" });
  const columns = usbench.menu("Columns", () => columnBoxes(shownTable()));
  const csv = usbench.button("CSV", () =>
    usbench.csv.download(task, shownTable(), state.current.params),
  );
  const ends = h("div", { class: "ends" }, columns, csv, linkButton(), compare);
  const elements = [
    usbench.field("Scored by", protocol, about),
    usbench.field("Filter", filter),
    clean,
    ends,
  ];

  function update(table, params) {
    protocol.value = table.id;
    about.dataset.tip = table.description || "Nothing is known of it.";
    clean.firstChild.checked = params.clean === "1";
    clean.hidden = !table.without;
    clean.lastChild.textContent = table.without;
    if (document.activeElement !== filter) filter.value = params.q || "";
    updateCompare(table, params);
  }

  function updateCompare(table, params) {
    const count = rows.ticked(table).length;
    compare.textContent = count > 1 ? `Compare ${count} models` : "Compare the best";
    const kept = { protocol: params.protocol, rows: count > 1 ? params.rows : "" };
    compare.href = state.format({ view: "compare", where: task.id, params: kept });
  }

  function columnBoxes(table) {
    const shown = new Set(rows.columns(table, state.current.params).map((column) => column.key));
    const choose = (key, on) => {
      shown[on ? "add" : "delete"](key);
      state.set({ cols: [...shown].join(",") }, true);
    };
    const boxes = table.columns
      .filter((column) => column.kind !== "main")
      .map(({ key, title, tip }) =>
        usbench.check(title, shown.has(key), (on) => choose(key, on), tip),
      );
    const reset = usbench.button("As at first", () => {
      state.set({ cols: null }, true);
      columns.close();
    });
    return [h("fieldset", {}, h("legend", {}, "Columns"), boxes), reset];
  }

  function linkButton() {
    const tip = "The address has the view, table, columns, filter and ticked rows.";
    const button = usbench.button("Link", copyLink, { "data-tip": tip });
    async function copyLink() {
      const done = await usbench.copy(location.href);
      button.textContent = done ? "Copied" : "In the address bar";
      usbench.say(done ? "Link copied" : "Copy the link from the address bar");
      setTimeout(() => (button.textContent = "Link"), 2000);
    }
    return button;
  }

  return { elements, update };
};
