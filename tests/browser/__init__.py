"""What the browser session runs: the built site, looked at in headless Chromium as its readers would use it.

``nox -s browser`` calls ``python -m browser build/html``. Nothing here is imported by the guide or by its site.
"""
