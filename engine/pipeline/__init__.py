"""The five stages of the data path, each a verb: accept, plan, dispatch, settle, retry."""
