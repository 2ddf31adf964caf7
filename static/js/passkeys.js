// Passkeys: the browser has the device answer what the page asks, and the form sends the answer. Without this file, or
// where the browser knows none, the buttons stay hidden.
const words = {
  NotAllowedError: "Nothing was chosen, or it took too long. Try again.",
  InvalidStateError: "This device has a passkey for your account already.",
  SecurityError: "Passkeys work only under the address that this platform is set up for.",
};

function isAble() {
  const known = window.PublicKeyCredential;
  return Boolean(known?.parseCreationOptionsFromJSON && known.parseRequestOptionsFromJSON && window.isSecureContext);
}

async function ask(form) {
  const options = JSON.parse(form.dataset.options);
  const { PublicKeyCredential, navigator } = window;
  const answer = form.dataset.passkey === "create"
    ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  return JSON.stringify(answer.toJSON());
}

function show(text) {
  const place = document.querySelector("[data-passkey-error]");
  place.textContent = text;
  place.hidden = !text;
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!isAble()) break;
  for (const part of document.querySelectorAll("[data-passkey-button]")) part.hidden = false;
  const field = form.elements.answer;
  form.addEventListener("submit", async (event) => {
    if (field.value) return; // the device has answered
    event.preventDefault();
    event.stopImmediatePropagation();
    show("");
    try {
      field.value = await ask(form);
    } catch (error) {
      show(words[error.name] ?? "The device gave no answer. Try again, or use another one.");
      return;
    }
    form.requestSubmit();
  }, { capture: true });
}
