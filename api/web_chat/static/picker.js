// Files that a person gives with a message: chosen, listed by name, taken away again, and sent with it.

const MOST_FILES = 10;
// Bytes of all files of a message: as base64 they still fit into a request.
const MOST_BYTES = 11 * 1024 * 1024;
const FILE_CODES = new Set(["unreadable", "unsupported_media_type", "password_protected", "too_large", "reading_limit"]);

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

function fileNames(texts, names) {
  return element("ul", { className: "files", "aria-label": texts.attached }, ...names.map((name) => element("li", {}, name)));
}

class Picker {
  constructor(chat) {
    this.chat = chat;
    this.files = [];
    this.input = element("input", { type: "file", multiple: true, hidden: true, onchange: () => this.take() });
    this.button = iconButton("attach", chat.texts.attach, () => this.input.click());
    this.list = element("ul", { className: "files chosen", "aria-label": chat.texts.attached, hidden: true });
  }

  take() {
    const taken = [...this.files, ...this.input.files];
    this.input.value = "";
    const bytes = taken.reduce((sum, file) => sum + file.size, 0);
    if (taken.length > MOST_FILES || bytes > MOST_BYTES) this.chat.tell(this.chat.texts.file_refused);
    else this.files = taken;
    this.show();
    this.chat.focus();
  }

  show() {
    this.list.hidden = this.files.length === 0;
    this.list.replaceChildren(
      ...this.files.map((file) => {
        const remove = iconButton("close", `${this.chat.texts.remove}: ${file.name}`, () => {
          this.files = this.files.filter((each) => each !== file);
          this.show();
          this.chat.focus();
        });
        return element("li", {}, file.name, remove);
      }),
    );
  }

  async given() {
    return Promise.all(this.files.map(async (file) => ({ name: file.name, content_base64: await base64(file) })));
  }

  // Takes the files out, so that the next message does not bring them again.
  empty() {
    this.files = [];
    this.show();
  }
}
