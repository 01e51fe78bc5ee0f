"""Pages for people: what is open, one invoice as a phone shows it, and the buttons of its customer."""

from simulator.pages import assets, front, invoice

ROUTERS = (front.router, invoice.router, assets.router)
