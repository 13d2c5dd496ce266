package protocol

import (
	"strings"
	"testing"
)

func TestEveryMemberIsAskedFor(t *testing.T) {
	whole := `{"generation":1,"relays":[{"id":1,"generation":1,"address":"a","port":1,"stun_port":2,"certificate":"c",` +
		`"private_key":"k","mesh_key":"m","running":true,"expires_at":null,"rate_bytes_per_second":0,"quota":null,` +
		`"devices":[{"key":"n","not_after":null}]}]}`
	if _, err := Decode[Apply]([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{`"running":true,`, `"expires_at":null,`, `"quota":null,`, `,"not_after":null`, `"rate_bytes_per_second":0,`} {
		_, err := Decode[Apply]([]byte(strings.Replace(whole, member, "", 1)))
		name := strings.Trim(strings.Split(member, ":")[0], `,"`)
		if err == nil || !strings.Contains(err.Error(), name+" is missing") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for _, wrong := range []string{
		strings.Replace(whole, `"running":true`, `"running":null`, 1),
		strings.Replace(whole, `"running":true`, `"running":"true"`, 1),
		strings.Replace(whole, `"port":1`, `"port":1.5`, 1),
		strings.Replace(whole, `"id":1`, `"Id":1`, 1),
		strings.Replace(whole, `"id":1`, `"id":1,"id":2`, 1),
		strings.Replace(whole, `"id":1`, `"id":1,"mounts":["/"]`, 1),
		whole + whole,
	} {
		if _, err := Decode[Apply]([]byte(wrong)); err == nil {
			t.Errorf("taken: %s", wrong)
		}
	}
}

func TestRefusalsTellNoValue(t *testing.T) {
	secret := "deadbeefdeadbeef"
	for _, line := range []string{
		`{"generation":1,"relays":[{"mesh_key":["` + secret + `"]}]}`,
		`{"generation":"` + secret + `","relays":[]}`,
		`{"generation":1,"relays":[{"mesh_key":"` + secret + "\xff" + `"}]}`,
	} {
		if _, err := Decode[Apply]([]byte(line)); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"id":1,"verb":"hello","body":{}}`))
	f.Add([]byte(`{"generation":1,"relays":[{"id":1,"devices":[{"key":"n"}]}]}`))
	f.Add([]byte(`{"targets":[{"address":"a","port":1}],"timeout_ms":5}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		Decode[Request](line)
		if wish, err := Decode[Apply](line); err == nil {
			wish.Validate(PortRange{First: 1, Last: 2})
		}
		Decode[Probe](line)
	})
}
