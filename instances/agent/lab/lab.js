// JupyterLab's part of the agent: shows the standing warning in every open tab, saves open notebooks when told, and
// tells that somebody types, clicks or scrolls: who writes runs no cell, and a kernel knows nothing of it.
// A prebuilt extension, written as JupyterLab loads them, so that nothing has to be built.
(() => {
  const notice = new URL("notice.json", document.currentScript.src);
  const LOOK_MS = 5000, USED_MS = 30000;
  let usedAt = 0;
  const used = (event) => {
    if (!event.isTrusted || Date.now() - usedAt < USED_MS) return; // what a page does by itself is no person
    usedAt = Date.now();
    fetch(`${notice}?used`, { cache: "no-store" }).catch(() => {}); // the gateway on the way notes it
  };
  for (const kind of ["keydown", "pointerdown", "wheel"]) addEventListener(kind, used, { capture: true, passive: true });
  const plugin = {
    id: "lamplighter:notice",
    autoStart: true,
    activate: (app) => {
      let text = "", saves = null, shown = null;
      app.commands.addCommand("lamplighter:keep", {
        label: "Keep it on",
        execute: (args) => { window.open(args.url, "_blank", "noopener"); },
      });
      const show = async (told) => {
        if (shown) await app.commands.execute("apputils:dismiss-notification", { id: await shown });
        shown = told.text && app.commands.execute("apputils:notify", {
          message: told.text,
          type: "warning",
          options: {
            autoClose: false,
            actions: told.url ? [{ label: "Keep it on", commandId: "lamplighter:keep", args: { url: told.url } }] : [],
          },
        });
        text = told.text;
      };
      const look = async () => {
        try {
          const answer = await fetch(`${notice}?${Date.now()}`, { cache: "no-store" });
          const told = answer.ok ? await answer.json() : { text: "", save: saves };
          if (told.text !== text) await show(told);
          if (saves !== null && told.save > saves) await app.commands.execute("docmanager:save-all");
          saves = told.save;
        } catch (error) { /* The machine goes, or the tab sleeps: the next look tells. */ }
        setTimeout(look, LOOK_MS);
      };
      app.restored.then(look);
    },
  };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.lamplighter = { init: () => {}, get: async () => () => ({ __esModule: true, default: plugin }) };
})();
