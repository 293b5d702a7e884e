"""Decisions as plain functions: no await, no clock and no random of their own."""
