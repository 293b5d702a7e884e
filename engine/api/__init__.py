"""The HTTP API: SMN v2, the identity slice, public links, health.

    table       all operations, a row each        routes        lookup by method and raw path
    gateway     every cross-cutting rule          call          what a handler gets
    bodies      request models and their codes    answers       replies, failures, their shapes
    server      TLS, readiness, draining

The other modules are handlers, one for each group of resources.
"""

from engine.api.server import serve_api

__all__ = ["serve_api"]
