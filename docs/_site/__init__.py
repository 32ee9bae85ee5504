"""Directives of the site: what the build computes, and how the reference is shown."""
