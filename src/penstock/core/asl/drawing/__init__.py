"""Machines as pictures: `graph.graph_of`, then `mermaid.mermaid_text`; or `layout.laid_out`, `svg.svg_text`, `png.png_bytes`."""
