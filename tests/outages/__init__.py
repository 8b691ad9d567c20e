"""Real server processes whose ways to the store, the layer and the browsers break, and what their pages are told."""
