package config

// nearest is the known key that a name was probably meant to be; empty if none
// is near.
func nearest(name string) string {
	var known []string
	for _, table := range [][]Key{brokerKeys, topicKeys} {
		for i := range table {
			known = append(known, table[i].Name)
		}
	}
	return Nearest(name, known)
}

// Nearest is the one of the known names that a mistyped one was probably meant
// to be; empty if none is near.
func Nearest(name string, known []string) string {
	best, least := "", 1+len(name)/4
	for _, k := range known {
		if d := distance(name, k); d < least {
			best, least = k, d
		}
	}
	return best
}

// nameLengthMax bounds the work of comparing names.
const nameLengthMax = 200

// distance is how many letters to change, drop or add to make b of a.
func distance(a, b string) int {
	if len(a) > nameLengthMax {
		return nameLengthMax
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
