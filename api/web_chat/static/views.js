// What is seen: messages, sources, decisions, feedback. All that a model said becomes text, never markup.

const ICONS = {
  chat: ["M21 12a8 8 0 0 1-8 8H4l1.8-3.2A8 8 0 1 1 21 12Z", "M9 10.5h7M9 14h4"],
  close: ["M6 6l12 12M18 6 6 18"],
  anew: ["M12 5v14M5 12h14"],
  send: ["M12 19V5M6 11l6-6 6 6"],
  stop: ["M7 7h10v10H7z"],
  attach: ["M20 11.5 12.4 19a5 5 0 0 1-7-7l8-8a3.4 3.4 0 0 1 4.8 4.8l-7.8 7.8a1.7 1.7 0 0 1-2.4-2.4l7-7"],
  up: ["M7 11v9H4v-9h3Zm0 0 4-7a2.2 2.2 0 0 1 2.2 2.6L12.6 10H19a1.8 1.8 0 0 1 1.8 2.2l-1.4 6.2a2 2 0 0 1-2 1.6H7"],
  down: ["M7 13V4H4v9h3Zm0 0 4 7a2.2 2.2 0 0 0 2.2-2.6L12.6 14H19a1.8 1.8 0 0 0 1.8-2.2l-1.4-6.2a2 2 0 0 0-2-1.6H7"],
};

function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const drawn = document.createElementNS(space, "svg");
  drawn.setAttribute("viewBox", "0 0 24 24");
  drawn.setAttribute("aria-hidden", "true");
  for (const line of ICONS[name]) {
    const path = document.createElementNS(space, "path");
    path.setAttribute("d", line);
    drawn.append(path);
  }
  return drawn;
}

function iconButton(name, label, onclick, className = "icon") {
  return element("button", { type: "button", className, "aria-label": label, title: label, onclick }, icon(name));
}

function button(text, onclick, className = "button") {
  return element("button", { type: "button", className, onclick }, text);
}

function personView(texts, content, files = []) {
  const given = files.length === 0 ? [] : [fileNames(texts, files)];
  return element("div", { className: "message person" }, element("span", { className: "hidden" }, `${texts.you}: `), content, ...given);
}

class AgentView {
  constructor(chat) {
    this.chat = chat;
    this.said = "";
    this.text = element("div", { className: "text" });
    this.rest = element("div");
    this.waiting = element("div", { className: "waiting", "aria-hidden": "true" }, element("i"), element("i"), element("i"));
    const who = element("span", { className: "hidden" }, `${chat.title}: `);
    this.node = element("div", { className: "message agent" }, who, this.text, this.waiting, this.rest);
    this.drawing = null;
    this.cited = null;
  }

  wait() {
    this.rest.before(this.waiting);
  }

  add(text) {
    this.said += text;
    this.draw();
  }

  draw() {
    // Many pieces come between two frames: they are drawn once.
    if (this.drawing !== null) return;
    this.drawing = requestAnimationFrame(() => this.drawn());
  }

  drawn() {
    if (this.drawing !== null) cancelAnimationFrame(this.drawing);
    this.drawing = null;
    this.text.replaceChildren(markdown(this.said));
    this.chat.scroll();
  }

  settle(message) {
    this.waiting.remove();
    this.said = message.content;
    this.drawn();
    this.sources(message.citations ?? []);
  }

  sources(citations) {
    this.cited?.remove();
    if (citations.length === 0) return;
    const items = citations.map((each) => {
      const title = each.title || each.external_id || each.url || each.marker;
      const href = address(each.url ?? "");
      return element("li", {}, `${each.marker} `, href === null ? title : link(href, title));
    });
    const list = element("ul", {}, ...items);
    this.cited = element("div", { className: "sources" }, element("p", {}, this.chat.texts.sources), list);
    this.rest.prepend(this.cited);
  }

  status(words, { wrong = false, retry = null } = {}) {
    this.waiting.remove();
    const row = element("div", { className: `row status${wrong ? " wrong" : ""}` }, words);
    if (retry !== null) {
      row.append(
        button(this.chat.texts.retry, () => {
          row.remove();
          this.chat.focus();
          retry();
        }),
      );
    }
    this.rest.append(row);
  }

  decision(asked, decide) {
    const { texts } = this.chat;
    const row = element("div", { className: "row" });
    const words = element("p", {}, asked.message);
    const box = element("div", { className: "box", role: "group", "aria-label": asked.message }, words, row);
    const say = (approved) => async () => {
      box.replaceWith(element("p", { className: "status" }, `${approved ? texts.approved : texts.declined}: ${asked.message}`));
      this.chat.focus();
      await decide(asked.id, approved);
    };
    row.append(button(texts.approve, say(true), "button first"), button(texts.decline, say(false)));
    this.rest.append(box);
    this.chat.scroll();
  }

  feedback(message, rate) {
    const { texts } = this.chat;
    const row = element("div", { className: "tools" });
    const ratings = [
      ["up", texts.helpful],
      ["down", texts.unhelpful],
    ];
    const buttons = ratings.map(([rating, label]) => iconButton(rating, label, () => choose(rating)));
    const show = (rating) =>
      buttons.forEach((each, place) => each.setAttribute("aria-pressed", String(ratings[place][0] === rating)));
    const choose = async (rating) => {
      show(rating);
      this.comment?.remove();
      if (await rate(message.id, rating, null)) this.commentForm(row, message, rating, rate);
    };
    show(message.feedback?.rating ?? null);
    row.append(...buttons);
    this.rest.append(row);
  }

  commentForm(row, message, rating, rate) {
    const { texts } = this.chat;
    const words = element("textarea", { rows: 2, maxLength: 10000, "aria-label": texts.comment, placeholder: texts.comment });
    const send = async (event) => {
      event.preventDefault();
      const comment = words.value.trim();
      if (comment !== "" && !(await rate(message.id, rating, comment))) return;
      this.comment.replaceWith(element("p", { className: "status", role: "status" }, texts.thanks));
      this.chat.focus();
    };
    const sending = element("button", { className: "button", type: "submit" }, texts.send_comment);
    this.comment = element("form", { className: "comment", onsubmit: send }, words, sending);
    row.after(this.comment);
    this.chat.scroll();
  }
}
