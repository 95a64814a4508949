// The page's state is its address: #view/dataset/task?name=value&…; every change can be shared, and
// the back button undoes it.
"use strict";

usbench.state = (() => {
  const VIEWS = ["results", "compare", "datasets", "method"];
  const listeners = [];
  let current = { view: "results", where: "", params: {} };

  // {view, where, params} of an address; null for one that isn't a state, such as #main.
  function parse(hash) {
    const [path, query = ""] = hash.replace(/^#/, "").split("?");
    const [view, ...where] = path.split("/");
    if (path === "") return { view: "results", where: "", params: {} };
    if (!VIEWS.includes(view)) return null;
    return {
      view,
      where: where.map(decode).join("/"),
      params: Object.fromEntries(new URLSearchParams(query)),
    };
  }

  function decode(text) {
    try {
      return decodeURIComponent(text);
    } catch {
      return text;
    }
  }

  function format({ view, where, params }) {
    const query = new URLSearchParams(stated(params))
      .toString()
      .replaceAll("%2C", ",")
      .replaceAll("%3A", ":");
    const path = [view, ...where.split("/").filter(Boolean).map(encodeURIComponent)].join("/");
    return `#${path}${query ? `?${query}` : ""}`;
  }

  function move(next, replace) {
    const before = current;
    current = next;
    if (format(next) !== location.hash)
      history[replace ? "replaceState" : "pushState"](null, "", format(next));
    for (const listener of listeners) listener(current, before);
  }

  // Change some params of the view; null removes one. replace: the back button skips the state
  // before, as while typing.
  function set(params, replace = false) {
    move({ ...current, params: stated({ ...current.params, ...params }) }, replace);
  }

  const stated = (params) =>
    Object.fromEntries(Object.entries(params).filter(([, value]) => value));

  function start() {
    addEventListener("hashchange", () => {
      const next = parse(location.hash);
      if (next && format(next) !== format(current)) move(next, true);
    });
    move(parse(location.hash) || current, true);
  }

  return {
    format,
    parse,
    set,
    start,
    get current() {
      return current;
    },
    go: (view, where = "", params = {}) => move({ view, where, params: stated(params) }, false),
    listen: (listener) => listeners.push(listener),
    list: (name) => (current.params[name] || "").split(",").filter(Boolean),
  };
})();
