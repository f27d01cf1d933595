// Swaps the results in place of loading the page anew; without this script the forms work as forms do.
"use strict";

document.querySelectorAll("form[data-live]").forEach((form) => {
  const status = form.querySelector(".status");
  const buttons = form.querySelectorAll("button");

  const ask = async (address) => {
    status.textContent = "Asking the model…";
    buttons.forEach((button) => { button.disabled = true; });
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok) {
        const wait = answer.headers.get("retry-after");
        const problem = page.querySelector(".problem");
        status.textContent = wait ? `Busy; try again in ${wait} s.` : problem ? problem.textContent : `Error ${answer.status}.`;
        return;
      }
      for (const id of ["results", "profile"]) {
        const old = document.getElementById(id), found = page.getElementById(id);
        if (old && found && (id === "results" || address.searchParams.has("own"))) old.replaceWith(found);
      }
      address.searchParams.delete("own");
      history.replaceState(null, "", address);
      status.textContent = "Done.";
    } catch (error) {
      status.textContent = "The service cannot be reached.";
    } finally {
      buttons.forEach((button) => { button.disabled = false; });
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const address = new URL(form.action);
    const own = event.submitter !== null && event.submitter.hasAttribute("data-own");
    for (const [name, value] of new FormData(form)) if (!own || name !== "profile") address.searchParams.set(name, value);
    if (own) address.searchParams.set("own", "1");
    ask(address);
  });
});
