package node

import "testing"

func TestVersionsAreComparedByTheirNumbers(t *testing.T) {
	for pair, want := range map[[2]string]bool{
		{"0.1.0", "0.1.0"}: false, {"0.1.0", "0.2.0"}: true, {"0.2.0", "0.1.0"}: false,
		{"0.9.0", "0.10.0"}: true, {"0.10.0", "0.9.9"}: false, {"1.0.0", "0.9.9"}: false,
		{"0.1.0-fix", "0.1.0"}: false, {"0.1.0", "0.1.1-fix"}: true,
	} {
		if got := older(pair[0], pair[1]); got != want {
			t.Errorf("%s older than %s: %t", pair[0], pair[1], got)
		}
	}
}
