"use strict";
const table = document.getElementById("files");
if (table) {
  document.documentElement.classList.add("live");
  const { folders, out: suggested } = JSON.parse(table.textContent);
  const paths = folders.flatMap(([folder, names]) => names.map(name => folder + "/" + name));
  const broken = paths.filter(path => /[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/.test(path));  // where lines end for Python
  const list = document.querySelector(".list");
  const ticks = [...document.querySelectorAll(".tick")].map(tick => [tick, tick.dataset.files.split(" ").map(Number)]);
  let out = new Set(suggested);

  const show = () => {
    for (const [tick, files] of ticks) {
      const kept = files.filter(file => !out.has(file)).length;
      tick.checked = kept === files.length;
      tick.indeterminate = kept > 0 && kept < files.length;
      tick.closest("figure")?.classList.toggle("out", kept === 0);
    }
    const number = count => count.toLocaleString("en");
    list.querySelector("p").textContent =
      number(paths.length - out.size) + " of " + number(paths.length) + " are learnt from, " + number(out.size) + " left out."
      + (broken.length ? " Not listed, for the line breaks in their names: " + number(broken.length) + "." : "");
  };

  // A path a line. What is no UTF-8 in a name comes as lone surrogates, a byte each (PEP 383), and leaves as these bytes.
  const encoder = new TextEncoder();
  const bytes = text => text.split(/([\udc80-\udcff])/u).map(
    (part, place) => place % 2 ? Uint8Array.of(part.charCodeAt(0) - 0xdc00) : encoder.encode(part)
  );
  const save = () => {
    const kept = paths.filter((path, file) => !out.has(file) && !broken.includes(path));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(kept.flatMap(path => bytes(path + "\n")), { type: "text/plain" }));
    link.download = "good.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    list.querySelector("div").hidden = false;
  };

  for (const [tick, files] of ticks) {
    tick.addEventListener("change", () => {
      for (const file of files) tick.checked ? out.delete(file) : out.add(file);
      show();
    });
  }
  list.querySelector(".again").addEventListener("click", () => { out = new Set(suggested); show(); });
  list.querySelector(".save").addEventListener("click", save);
  list.hidden = false;
  show();
}
