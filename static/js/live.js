/* Live parts of a page: what htmx fetches is merged into what is there, so that focus, scroll, an open dialog or
   folded part, and what somebody is typing stay as they are. Says aloud only what changed. */
(() => {
  "use strict";

  /* Attributes that belong to the person, not to the portal. */
  const OURS = new Set(["open", "data-sent", "aria-sort"]);
  const key = (node) => node.id || node.getAttribute?.("action") || "";
  const same = (a, b) => a.nodeName === b.nodeName && key(a) === key(b);

  const mergeAttributes = (old, fresh) => {
    for (const { name, value } of Array.from(fresh.attributes)) {
      if (!OURS.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of Array.from(old.attributes)) {
      if (!OURS.has(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
  };

  const merge = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    mergeAttributes(old, fresh);
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(old.tagName) && old.type !== "hidden") return;
    mergeChildren(old, fresh);
  };

  /* First what has no counterpart goes, then what is new comes in between: what stays is moved as little as may be. */
  const mergeChildren = (old, fresh) => {
    const free = new Set(old.childNodes);
    const pairs = Array.from(fresh.childNodes).map((child) => {
      const known = Array.from(free).find((node) => same(node, child));
      free.delete(known);
      return [known, child];
    });
    free.forEach((node) => node.remove());
    let here = old.firstChild;
    for (const [known, child] of pairs) {
      if (!known) {
        old.insertBefore(document.importNode(child, true), here);
        continue;
      }
      if (known === here) here = here.nextSibling;
      else old.insertBefore(known, here);
      merge(known, child);
    }
  };

  const news = (root) => Array.from(root.querySelectorAll("[data-say]")).map((node) => [node.id, node.dataset.say]);

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { target, serverResponse, xhr, requestConfig } = event.detail;
    /* A form that is refused is the same part again, with what is wrong. */
    if (xhr.status === 422) Object.assign(event.detail, { shouldSwap: true, isError: false });
    if (requestConfig.verb !== "get" || xhr.status !== 200 || !target.hasAttribute("data-live")) return;
    event.detail.shouldSwap = false;
    const before = new Map(news(target));
    const fresh = new DOMParser().parseFromString(serverResponse, "text/html").body.firstElementChild;
    if (!fresh || !same(target, fresh)) return;
    const focused = document.activeElement;
    merge(target, fresh);
    const changed = news(target).filter(([id, text]) => before.get(id) !== text).map(([, text]) => text);
    const detail = { news: changed.join(" ") };
    target.dispatchEvent(new CustomEvent("lamplighter:renewed", { bubbles: true, detail }));
    // A row that was moved, by us or by its table's order, has lost the focus on the way.
    if (focused.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
    setTimeout(() => window.htmx.process(target)); // a new pace, or new parts, take effect
  });

  /* Nobody looks: do not ask. Looking again fires visibilitychange, which asks at once. */
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.hasAttribute("data-live")) event.preventDefault();
  });

  /* Signed out, or no longer allowed: the whole page says so, not a part of it. */
  document.addEventListener("htmx:responseError", (event) => {
    if ([401, 403, 404].includes(event.detail.xhr.status)) location.reload();
    else offline(true);
  });
  const offline = (is) => document.getElementById("offline")?.toggleAttribute("hidden", !is);
  document.addEventListener("htmx:sendError", () => offline(true));
  document.addEventListener("htmx:afterOnLoad", (event) => { if (event.detail.xhr.status < 400) offline(false); });
})();
