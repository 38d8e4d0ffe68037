"""The embedded engine: a small recurrent matting network of this project's own, whose weights lie in the package."""
