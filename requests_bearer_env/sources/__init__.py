"""Where a key comes from: an environment variable, a file or a provider.

A new kind of source is a subclass of `requests_bearer_env.sources.base.Source` in a module of its own.
"""
