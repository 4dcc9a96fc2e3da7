import { $ } from "./dom.js";

/** The dialog that asks for the password again. */
export class StepUp {
  #work = async () => {};

  constructor() {
    $("stepup-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#confirm();
    });
    $("stepup-cancel").addEventListener("click", () => $("stepup").close());
    $("stepup").addEventListener("close", () => {
      $("stepup-password").value = "";
    });
  }

  /**
   * Asks for the password until it is correct or the user cancels.
   * @param {string} why
   * @param {(password: string) => Promise<void>} work
   */
  ask(why, work) {
    this.#work = work;
    $("stepup-why").textContent = why;
    $("stepup-error").hidden = true;
    if (!$("stepup").open) $("stepup").showModal();
  }

  async #confirm() {
    $("stepup-confirm").disabled = true;
    try {
      await this.#work($("stepup-password").value);
      $("stepup").close();
    } catch (error) {
      $("stepup-error").textContent = error instanceof TypeError ? "The server cannot be reached" : error.message;
      $("stepup-error").hidden = false;
      $("stepup-password").select();
    } finally {
      $("stepup-confirm").disabled = false;
    }
  }
}
