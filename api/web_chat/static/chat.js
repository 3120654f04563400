// The chat itself: a button, a panel, and one conversation. It begins where its script tag is read.

const BUSY = new Set(["queued", "running"]);
const FAILED = new Set(["failed", "interrupted", "cancelled"]);

class Chat {
  constructor(client, look) {
    this.client = client;
    this.look = look;
    this.texts = look.texts;
    this.title = look.title;
    this.turn = null;
    this.sending = false;
    this.atEnd = true;
    client.beganAnew = () => this.tell(this.texts.began_anew);
    this.host = element("div", { "data-magnet-chat": look.name });
    this.root = this.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    this.root.adoptedStyleSheets = [sheet];
    this.host.style.setProperty("--accent", look.color);
    this.host.style.setProperty("--on-accent", light(look.color) ? "#1b1f27" : "#fff");
    this.build();
    document.body.append(this.host);
  }

  build() {
    const { texts } = this;
    this.log = element("div", { className: "log", role: "log", "aria-live": "polite", "aria-label": this.title, tabIndex: 0 });
    // Who reads further up is left there while more comes.
    this.log.addEventListener("scroll", () => {
      this.atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 60;
    });
    this.spoken = element("div", { className: "hidden", role: "status" });
    this.words = element("textarea", {
      rows: 1,
      maxLength: 20000,
      placeholder: texts.placeholder,
      "aria-label": texts.placeholder,
      onkeydown: (event) => this.typed(event),
      oninput: () => this.grow(),
    });
    this.action = iconButton("send", texts.send, () => (this.busy ? this.stop() : this.submit()), "send");
    this.picker = new Picker(this);
    const attaching = this.look.files ? [this.picker.input, this.picker.button] : [];
    const entry = element("form", { className: "entry", onsubmit: (event) => event.preventDefault() }, ...attaching, this.words, this.action);
    const note = this.look.note === "" ? [] : [element("p", { className: "note foot" }, this.look.note)];
    const head = element(
      "header",
      {},
      element("h2", { id: "title" }, this.title),
      iconButton("anew", texts.anew, () => this.anew()),
      iconButton("close", texts.close, () => this.close()),
    );
    this.panel = element(
      "section",
      { className: "panel", id: "panel", role: "dialog", "aria-labelledby": "title", hidden: true },
      head,
      this.log,
      this.spoken,
      this.picker.list,
      entry,
      ...note,
    );
    this.panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) {
        event.stopPropagation();
        this.close();
      }
    });
    this.launcher = iconButton("chat", texts.open, () => (this.panel.hidden ? this.open() : this.close()), "launcher");
    this.launcher.setAttribute("aria-expanded", "false");
    this.launcher.setAttribute("aria-controls", "panel");
    this.root.append(element("div", { className: this.look.position }, this.panel, this.launcher));
  }

  get busy() {
    return this.sending || this.turn !== null;
  }

  open() {
    this.panel.hidden = false;
    this.launcher.setAttribute("aria-expanded", "true");
    this.launcher.setAttribute("aria-label", this.texts.close);
    this.launcher.title = this.texts.close;
    this.focus();
    if (this.log.childElementCount === 0) this.restore();
  }

  close() {
    this.panel.hidden = true;
    this.launcher.setAttribute("aria-expanded", "false");
    this.launcher.setAttribute("aria-label", this.texts.open);
    this.launcher.title = this.texts.open;
    this.launcher.focus();
  }

  focus() {
    this.words.focus();
  }

  scroll() {
    if (this.atEnd) this.log.scrollTop = this.log.scrollHeight;
  }

  grow() {
    this.words.style.height = "auto";
    this.words.style.height = `${Math.min(this.words.scrollHeight + 2, 140)}px`;
  }

  typed(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.submit();
  }

  tell(words) {
    this.log.append(element("p", { className: "status" }, words));
    this.scroll();
  }

  settle() {
    const { texts } = this;
    const label = this.busy ? texts.stop : texts.send;
    this.action.replaceChildren(icon(this.busy ? "stop" : "send"));
    this.action.setAttribute("aria-label", label);
    this.action.title = label;
    this.log.setAttribute("aria-busy", String(this.busy));
    this.spoken.textContent = this.busy ? texts.answering : "";
  }

  greet() {
    const { welcome_message: welcome, sample_questions: questions } = this.look;
    if (welcome !== "") this.answerView().settle({ content: welcome });
    if (questions.length > 0) {
      this.samples = element(
        "div",
        { className: "samples" },
        ...questions.map((question) => button(question, () => this.submit(question))),
      );
      this.log.append(this.samples);
    }
  }

  answerView() {
    const view = new AgentView(this);
    this.log.append(view.node);
    this.scroll();
    return view;
  }

  anew() {
    if (this.busy) return;
    this.client.forget();
    this.log.replaceChildren();
    this.greet();
    this.focus();
  }

  async restore() {
    this.greet();
    if (this.client.conversation === null) return;
    try {
      const seen = await this.client.see();
      if (seen.messages.length > 0) await this.shown(seen);
    } catch (error) {
      this.answerView().status(this.wordsOf(error), { wrong: true, retry: () => this.restoreAnew() });
    }
  }

  restoreAnew() {
    this.log.replaceChildren();
    return this.restore();
  }

  async shown(seen) {
    this.samples?.remove();
    const newest = seen.turns.at(-1);
    let view = null;
    for (const message of seen.messages) {
      if (message.role === "user") {
        this.log.append(personView(this.texts, message.content, (message.attachments ?? []).map((each) => each.name)));
        view = null;
      } else if (message.turn !== newest.id || !BUSY.has(newest.state)) {
        view = this.answerView();
        view.settle(message);
        if (message.state === "completed") this.rateable(view, message);
      }
    }
    this.scroll();
    if (BUSY.has(newest.state)) await this.follow(newest.id, this.answerView());
    else if (newest.state === "awaiting_confirmation") this.ask(view ?? this.answerView(), seen.confirmations, newest.id);
    else if (FAILED.has(newest.state)) this.ended(view ?? this.answerView(), newest.id, newest.state);
  }

  async submit(given = null) {
    const content = (given ?? this.words.value).trim();
    if (content === "" || this.busy) return;
    this.samples?.remove();
    if (given === null) {
      this.words.value = "";
      this.grow();
    }
    this.focus();
    let attachments;
    try {
      attachments = await this.picker.given();
    } catch {
      this.tell(this.texts.file_refused);
      return;
    }
    this.picker.empty();
    this.declineOpen();
    this.log.append(personView(this.texts, content, attachments.map((each) => each.name)));
    this.atEnd = true;
    const key = secret();
    const body = attachments.length === 0 ? { content } : { content, attachments };
    await this.begin(() => this.client.post("/messages", { ...body, background: true }, key));
  }

  declineOpen() {
    // Who says something else instead of deciding declines what was asked.
    for (const box of this.log.querySelectorAll(".box")) {
      box.replaceWith(element("p", { className: "status" }, `${this.texts.declined}: ${box.getAttribute("aria-label")}`));
    }
  }

  async begin(asking) {
    const view = this.answerView();
    this.sending = true;
    this.settle();
    try {
      const { turn } = await asking();
      this.sending = false;
      await this.follow(turn.id, view);
    } catch (error) {
      this.failed(view, error, () => this.begin(asking));
    } finally {
      this.sending = false;
      this.settle();
    }
  }

  async follow(turn, view) {
    this.turn = turn;
    this.settle();
    let offline = null;
    try {
      for await (const { type, data } of this.client.follow(turn)) {
        offline?.remove();
        offline = null;
        if (type === "message.delta") view.add(data.text);
        else if (type === "offline") {
          offline = element("p", { className: "status" }, this.texts.offline);
          view.rest.append(offline);
        } else if (type === "turn.completed") {
          view.settle(data.message);
          this.rateable(view, data.message);
        } else if (type === "turn.awaiting_confirmation") {
          view.settle(data.message);
          this.ask(view, data.confirmations, turn);
        } else if (type === "turn.failed" || type === "turn.cancelled") {
          if (data.message) view.settle(data.message);
          this.ended(view, turn, type.slice(5));
        }
      }
    } finally {
      view.waiting.remove();
      this.turn = null;
      this.settle();
    }
  }

  async stop() {
    if (this.turn === null) return;
    try {
      await this.client.post(`/turns/${this.turn}/cancel`, {});
    } catch (error) {
      // What had ended by then has been told already.
      if (error.code !== "turn_ended") this.tell(this.wordsOf(error));
    }
  }

  ended(view, turn, state) {
    const again = () => this.begin(() => this.client.post(`/turns/${turn}/retry`, { background: true }));
    const words = state === "cancelled" ? this.texts.stopped : this.texts.failed;
    view.status(words, { wrong: state !== "cancelled", retry: again });
    this.scroll();
  }

  ask(view, confirmations, turn) {
    const open = confirmations.filter((each) => (each.turn ?? turn) === turn && (each.approved ?? null) === null);
    let left = open.length;
    for (const each of open) {
      view.decision(each, (id, approved) => {
        left -= 1;
        return this.decide(view, turn, { id, approved }, left === 0);
      });
    }
  }

  async decide(view, turn, decision, last) {
    const deciding = async () => {
      try {
        await this.client.post("/confirmations", { ...decision, background: true });
        // As long as something is left to be decided, nothing goes on.
        if (last) await this.follow(turn, view);
      } catch (error) {
        this.failed(view, error, deciding);
      }
    };
    if (last) view.wait();
    await deciding();
  }

  rateable(view, message) {
    view.feedback(message, async (id, rating, comment) => {
      try {
        await this.client.post("/feedback", { message_id: id, rating, comment });
        return true;
      } catch (error) {
        view.status(this.wordsOf(error), { wrong: true });
        return false;
      }
    });
  }

  failed(view, error, retry) {
    view.status(this.wordsOf(error), { wrong: true, retry });
    this.scroll();
  }

  wordsOf(error) {
    if (!(error instanceof Refusal) || error.status === 0) return this.texts.unreachable;
    if (error.status === 429) return this.texts.too_fast;
    if (FILE_CODES.has(error.code)) return this.texts.file_refused;
    return this.texts.failed;
  }
}

function light(color) {
  // Relative luminance (WCAG 2): above it, dark letters have more contrast than white ones.
  const [red, green, blue] = [1, 3, 5]
    .map((place) => parseInt(color.slice(place, place + 2), 16) / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179;
}

async function begin(script) {
  const channel = script?.dataset.channel;
  if (!channel) throw new Error("The chat's script tag needs data-channel: the name of a channel.");
  const client = new Client(new URL(".", script.src).href.replace(/\/$/, ""), channel);
  const look = await client.describe();
  if (document.readyState === "loading") await new Promise((go) => document.addEventListener("DOMContentLoaded", go));
  return new Chat(client, look);
}

begin(document.currentScript).catch((error) => console.error("Magnet chat:", error));
