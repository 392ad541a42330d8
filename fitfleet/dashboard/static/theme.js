// Sets the chosen colours before anything is drawn.
"use strict";
{
  const chosen = localStorage.getItem("fitfleet-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
