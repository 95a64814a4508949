// The page: its views, which are built when first shown, and what all of them share.
"use strict";

(() => {
  const { state } = usbench;
  const data = JSON.parse(document.getElementById("data").textContent);
  expandTips();
  const BUILDERS = {
    results: usbench.results.build,
    compare: usbench.compare.build,
    datasets: usbench.catalogue.build,
  };
  const updates = {};

  // Each tip stands once in the data: its place becomes its text.
  function expandTips() {
    const tables = data.tasks.flatMap((task) => task.tables);
    const badges = tables.flatMap((table) => table.rows.flatMap((row) => row.badges || []));
    for (const part of [...tables.flatMap((table) => table.columns), ...badges]) {
      part.tip = data.tips[part.tip];
    }
  }

  const taskOf = ({ where }) => (data.tasks.length ? usbench.rows.findTask(data, where) : null);

  const setCurrent = (link, value) =>
    value ? link.setAttribute("aria-current", value) : link.removeAttribute("aria-current");

  function show(now) {
    for (const link of document.querySelectorAll(".tabs a")) {
      setCurrent(link, link.dataset.view === now.view && "page");
    }
    for (const section of document.querySelectorAll("main > section")) {
      section.hidden = section.id !== `view-${now.view}`;
    }
    const address = now.view === "results" ? `#results/${taskOf(now)?.id}` : "";
    for (const link of document.querySelectorAll(".finding a")) {
      setCurrent(link, link.getAttribute("href") === address && "true");
    }
    usbench.tips.hide();
  }

  // Draw the view of a state.
  function draw(now, before) {
    show(now);
    const build = BUILDERS[now.view];
    if (build) {
      updates[now.view] ||= build(document.getElementById(`${now.view}-body`), data);
      updates[now.view](now);
    }
    if (now.view !== before.view || now.where !== before.where) scroll(now, before);
  }

  // A link brings what it leads to into sight: a part of the method, another table, the top of
  // another view.
  function scroll(now, before) {
    const part =
      now.view === "method" && now.where && document.getElementById(`method-${now.where}`);
    const table =
      now.view === "results" &&
      before.view === "results" &&
      document.getElementById("results-body");
    if (part || (table && now.where)) (part || table).scrollIntoView();
    else if (now.view !== before.view) scrollTo(0, 0);
  }

  // Paper shows what is folded on the screen.
  function unfoldForPrinting() {
    let opened = [];
    addEventListener("beforeprint", () => {
      usbench.table.complete();
      opened = [...document.querySelectorAll("details:not([open])")];
      for (const details of opened) details.open = true;
    });
    addEventListener("afterprint", () => {
      for (const details of opened) details.open = false;
    });
  }

  // The address is the state, so skipping to the content must not change it.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  const isOfTask = () => ["results", "compare"].includes(state.current.view);
  const menus = usbench.pageMenus(data, () => (isOfTask() ? taskOf(state.current) : null));
  document.getElementById("menus").append(...menus);
  usbench.tips.start();
  usbench.startFinder(data);
  state.listen(draw);
  unfoldForPrinting();
  state.start();
})();
