package main

// suggest is ", did you mean X?" when one of the known words is near.
func suggest(word string, known []string) string {
	best := nearest(word, known)
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// nearest is the known word that was most likely meant, empty if none is near.
func nearest(word string, known []string) string {
	best, least := "", 1+len(word)/4
	for _, k := range known {
		if d := distance(word, k); d <= least {
			best, least = k, d-1
		}
	}
	return best
}

// distance counts the letters to insert, remove or replace between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
