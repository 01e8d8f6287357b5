"""What a person looks at: pages, pictures and tables.

Values in, a page of HTML, SVG or matplotlib's Axes out. This room knows no search: who has found
something says what is to be drawn (`values`) and told (`page`), and here it is drawn and laid out.
"""
