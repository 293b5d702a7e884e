"""The adapters: one file a wire format, found by entry point. Content → wire → outcome.

They know the engine's models, errors and ports, and nothing else: no store, no API, no other
adapter.
"""
