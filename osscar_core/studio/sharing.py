"""A link to exactly what is on screen, to be copied with one click.

The decision hidden here: such a link names everything, also what stands at its default: the
default of somebody else's workspace is another one.
"""

from __future__ import annotations

import html
import urllib.parse

import streamlit as st

from osscar_core.studio import chosen
from osscar_core.studio.identity import desk
from osscar_core.studio.scene import PROTECT
from osscar_core.studio.texts import language, say
from osscar_core.studio.wishes import Wish


def query(wish: Wish) -> str:
    """Return the query of a link to the screen as it is now."""
    state = st.session_state
    values = {
        "lang": language(),
        "m": chosen.key_of(chosen.model(desk()).name),
        "goal": wish.aim.value,
        "val": f"{wish.value:.10g}",
        "x": state["x"],
    }
    if state["run"]:
        values["run"] = state["run"]
    return urllib.parse.urlencode(values)


def show_copy_link(wish: Wish) -> None:
    """Draw the button."""
    words = {name: say(f"link.{name}") for name in ("copy", "copied", "failed")}
    note = say("link.protected") if st.session_state.get(PROTECT) else say("link.help")
    # Values stand in data attributes, and the script is the same for all of them.
    st.html(
        f"""<button class="copylink" type="button" title="{html.escape(note)}"
        data-query="{html.escape(query(wish))}" data-copied="{html.escape(words["copied"])}"
        data-failed="{html.escape(words["failed"])}">{html.escape(words["copy"])}</button>
        <script>{_SCRIPT}</script>""",
        unsafe_allow_javascript=True,
        width="content",
    )


_SCRIPT = """
(() => {
  if (window.osscarCopyLink) return;
  window.osscarCopyLink = true;
  const put = async (text) => {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.appendChild(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("not copied");
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest("button.copylink");
    if (!button) return;
    const label = button.textContent;
    const link = `${location.origin}${location.pathname}?${button.dataset.query}`;
    try {
      await put(link);
      button.textContent = button.dataset.copied;
    } catch (error) {
      window.prompt(button.dataset.failed, link);
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
})();
"""
