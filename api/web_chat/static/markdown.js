// Markdown of answers, as nodes: paragraphs, lists, bold, code and links to the web. Nothing is ever parsed as HTML.

const INLINE = new RegExp(
  [
    "`([^`\\n]{1,1000})`",
    "\\*\\*([^\\n]{1,1000}?)\\*\\*",
    "\\[([^\\[\\]\\n]{1,500})\\]\\(([^()\\s]{1,2000})\\)",
    "(https?://[^\\s<>\"'()\\[\\]]{1,2000}[^\\s<>\"'()\\[\\].,;:!?])",
  ].join("|"),
  "g",
);
const ITEM = /^\s{0,6}(?:[-*+]|(\d{1,4})[.)])\s+(.*)$/;
const HEADING = /^#{1,6}\s+(.*)$/;

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function address(text) {
  try {
    const url = new URL(text);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

function link(href, text) {
  return element("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, text);
}

function inline(text) {
  const nodes = [];
  let told = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, code, bold, words, target, bare] = found;
    nodes.push(text.slice(told, found.index));
    told = found.index + whole.length;
    const href = address(target ?? bare ?? "");
    if (code !== undefined) nodes.push(element("code", {}, code));
    else if (bold !== undefined) nodes.push(element("strong", {}, ...inline(bold)));
    else if (href !== null) nodes.push(link(href, words ?? bare));
    else nodes.push(whole);
  }
  nodes.push(text.slice(told));
  return nodes.filter((node) => node !== "");
}

function markdown(text) {
  const blocks = document.createDocumentFragment();
  let lines = [];
  let list = null;
  let code = null;
  const endParagraph = () => {
    if (lines.length === 0) return;
    const paragraph = element("p");
    lines.forEach((line, number) => paragraph.append(...(number ? [element("br")] : []), ...inline(line)));
    blocks.append(paragraph);
    lines = [];
  };
  for (const line of text.split(/\r?\n/)) {
    if (code !== null) {
      if (/^\s*```/.test(line)) code = null;
      else code.append(`${line}\n`);
      continue;
    }
    const item = ITEM.exec(line);
    const heading = HEADING.exec(line);
    if (item === null && line.trim() !== "") list = null;
    if (/^\s*```/.test(line)) {
      endParagraph();
      code = element("code");
      blocks.append(element("pre", { tabIndex: 0 }, code));
    } else if (item !== null) {
      endParagraph();
      const kind = item[1] === undefined ? "UL" : "OL";
      if (list === null || list.tagName !== kind) {
        list = element(kind.toLowerCase());
        if (kind === "OL") list.start = Number(item[1]);
        blocks.append(list);
      }
      list.append(element("li", {}, ...inline(item[2])));
    } else if (heading !== null) {
      endParagraph();
      blocks.append(element("p", { className: "heading" }, ...inline(heading[1])));
    } else if (line.trim() === "") {
      endParagraph();
    } else {
      lines.push(line);
    }
  }
  endParagraph();
  return blocks;
}
