"""The board and the catalogue as pages that open from disk: what stands on them, as data, and the files they are made
of. Nothing here computes a score: rows, words and figures come from board.py and board_text.py."""
