"""Look at datasets: videos, contact sheets and a page about all of them, for people."""
