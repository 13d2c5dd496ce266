// Package protocol is the language between the panel and a node: JSON lines
// over a byte stream. docs/node-protocol.md is its prose.
package protocol

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// Version is what hello answers; a panel refuses a node of another one.
	Version = 1
	// MaxLine bounds one request line in bytes.
	MaxLine = 4 << 20
	// MaxRelays and MaxDevices bound one apply.
	MaxRelays  = 2000
	MaxDevices = 1000
)

// Request is one line from the panel.
type Request struct {
	ID   int64          `json:"id"`
	Verb string         `json:"verb"`
	Body jsontext.Value `json:"body,omitzero"`
}

// Answer is the line that answers a request; Body or Err, as OK says.
type Answer struct {
	ID   int64  `json:"id"`
	OK   bool   `json:"ok"`
	Body any    `json:"body,omitzero"`
	Err  *Error `json:"error,omitzero"`
}

// Stream is a line that follows the answer of watch.
type Stream struct {
	ID    int64 `json:"id"`
	Event any   `json:"event"`
}

// Error is a refusal with a stable code for programs and a message for people.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Empty is the body of requests and answers that say nothing.
type Empty struct{}

// Hello says who the node is and what it has.
type Hello struct {
	Protocol   int       `json:"protocol"`
	Version    string    `json:"version"`
	Runtime    string    `json:"runtime"`
	BootID     string    `json:"boot_id"`
	RelayLabel *string   `json:"relay_label"`
	Generation int64     `json:"generation"`
	Host       HelloHost `json:"host"`
	// Program is the SHA-256 of the binary that runs, in hex.
	Program string    `json:"program"`
	Upgrade *Upgraded `json:"upgrade"`
}

// Upgraded is how the last upgrade of the program went.
type Upgraded struct {
	Version string    `json:"version"`
	SHA256  string    `json:"sha256"`
	Result  string    `json:"result"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Results of an upgrade.
const (
	UpgradeOnTrial    = "on_trial"
	UpgradeConfirmed  = "confirmed"
	UpgradeRolledBack = "rolled_back"
)

// HelloHost is what the panel proposes a capacity from.
type HelloHost struct {
	CPUs          int     `json:"cpus"`
	MemoryBytes   int64   `json:"memory_bytes"`
	DiskFreeBytes int64   `json:"disk_free_bytes"`
	Docker        *string `json:"docker"`
	Kernel        string  `json:"kernel"`
}

// Apply is the whole desired state of one server.
type Apply struct {
	Generation int64   `json:"generation"`
	Relays     []Relay `json:"relays"`
}

// Relay is the desired state of one customer's relay on this server.
type Relay struct {
	ID                 int64      `json:"id"`
	Generation         int64      `json:"generation"`
	Address            string     `json:"address"`
	Port               int        `json:"port"`
	StunPort           int        `json:"stun_port"`
	Certificate        string     `json:"certificate"`
	PrivateKey         string     `json:"private_key"`
	MeshKey            string     `json:"mesh_key"`
	Running            bool       `json:"running"`
	ExpiresAt          *time.Time `json:"expires_at"`
	RateBytesPerSecond int64      `json:"rate_bytes_per_second"`
	Quota              *Quota     `json:"quota"`
	Devices            []Device   `json:"devices"`
}

// Quota says what happens when the relay's total of sent bytes reaches the limit.
type Quota struct {
	LimitBytes             int64  `json:"limit_bytes"`
	AtLimit                string `json:"at_limit"`
	ThrottleBytesPerSecond int64  `json:"throttle_bytes_per_second"`
}

// What a quota does at its limit.
const (
	AtLimitStop     = "stop"
	AtLimitThrottle = "throttle"
)

// Device may use the relay until NotAfter.
type Device struct {
	Key      string     `json:"key"`
	NotAfter *time.Time `json:"not_after"`
}

// Applied confirms an apply.
type Applied struct {
	Generation int64 `json:"generation"`
}

// Since asks for what happened after a cursor; none asks for all that is held.
type Since struct {
	Cursor *string `json:"cursor,omitzero"`
}

// Snapshot is the observed state of the server, whole or what changed.
type Snapshot struct {
	Cursor     string          `json:"cursor"`
	Whole      bool            `json:"whole"`
	More       bool            `json:"more"`
	Generation int64           `json:"generation"`
	At         time.Time       `json:"at"`
	Relays     []RelayStatus   `json:"relays"`
	Removed    []int64         `json:"removed"`
	Knocks     []Knock         `json:"knocks"`
	Events     []Event         `json:"events"`
	Starts     []FinishedStart `json:"starts"`
	Host       HostStatus      `json:"host"`
}

// State is where a relay stands.
type State string

// The states of a relay.
const (
	Starting State = "starting"
	Ready    State = "ready"
	Degraded State = "degraded"
	Stopped  State = "stopped"
	Failed   State = "failed"
)

// RelayStatus is the observed state of one relay.
type RelayStatus struct {
	ID                 int64      `json:"id"`
	Generation         int64      `json:"generation"`
	Label              *string    `json:"label"`
	State              State      `json:"state"`
	Reason             *string    `json:"reason"`
	StartID            *string    `json:"start_id"`
	StartedAt          *time.Time `json:"started_at"`
	Restarts           int64      `json:"restarts"`
	SentBytes          int64      `json:"sent_bytes"`
	ReceivedBytes      int64      `json:"received_bytes"`
	ProbeBytes         int64      `json:"probe_bytes"`
	TotalSentBytes     int64      `json:"total_sent_bytes"`
	RateBytesPerSecond int64      `json:"rate_bytes_per_second"`
	Throttled          bool       `json:"throttled"`
	Connections        int        `json:"connections"`
	Presence           []Present  `json:"presence"`
	Checks             *Checks    `json:"checks"`
}

// Present is a device that is connected.
type Present struct {
	Key     string    `json:"key"`
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
}

// Checks is the last look at a relay as a client would take it. Echo and
// StrangerRefused are null until the first full look of this start.
type Checks struct {
	At              time.Time `json:"at"`
	TLS             bool      `json:"tls"`
	Pin             bool      `json:"pin"`
	HTTP            bool      `json:"http"`
	STUN            bool      `json:"stun"`
	Echo            *bool     `json:"echo"`
	StrangerRefused *bool     `json:"stranger_refused"`
}

// Knock is an unregistered key that tried a relay.
type Knock struct {
	Relay   int64     `json:"relay"`
	Key     string    `json:"key"`
	Address string    `json:"address"`
	FirstAt time.Time `json:"first_at"`
	LastAt  time.Time `json:"last_at"`
	Count   int64     `json:"count"`
	Seq     int64     `json:"seq"`
}

// Event is something the panel must know that no state shows.
type Event struct {
	Seq    int64          `json:"seq"`
	At     time.Time      `json:"at"`
	Relay  *int64         `json:"relay"`
	Kind   string         `json:"kind"`
	Detail map[string]any `json:"detail"`
}

// FinishedStart is the final account of one run of a relay's process.
type FinishedStart struct {
	Relay         int64     `json:"relay"`
	StartID       string    `json:"start_id"`
	StartedAt     time.Time `json:"started_at"`
	EndedAt       time.Time `json:"ended_at"`
	SentBytes     int64     `json:"sent_bytes"`
	ReceivedBytes int64     `json:"received_bytes"`
	ProbeBytes    int64     `json:"probe_bytes"`
	Gap           bool      `json:"gap"`
}

// HostStatus is the load of the server.
type HostStatus struct {
	Load1            float64 `json:"load1"`
	CPUFraction      float64 `json:"cpu_fraction"`
	MemoryUsedBytes  int64   `json:"memory_used_bytes"`
	MemoryBytes      int64   `json:"memory_bytes"`
	DiskFreeBytes    int64   `json:"disk_free_bytes"`
	DiskBytes        int64   `json:"disk_bytes"`
	NetSentBytes     int64   `json:"net_sent_bytes"`
	NetReceivedBytes int64   `json:"net_received_bytes"`
	Admitted         int64   `json:"admitted"`
	Refused          int64   `json:"refused"`
}

// Image is one chunk of a signed relay image archive.
type Image struct {
	Label     string `json:"label"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	Signature []byte `json:"signature"`
	Offset    int64  `json:"offset"`
	Data      []byte `json:"data"`
}

// ImageReceived says how much of the archive the node has.
type ImageReceived struct {
	Received int64   `json:"received"`
	Complete bool    `json:"complete"`
	Label    *string `json:"label"`
}

// UseImage goes back to an image that was in place before.
type UseImage struct {
	Label string `json:"label"`
}

// Remake has one relay made anew, from the image that is in place.
type Remake struct {
	Relay int64  `json:"relay"`
	Label string `json:"label"`
}

// Upgrade is one chunk of a signed binary of this program.
type Upgrade struct {
	Version   string `json:"version"`
	Size      int64  `json:"size"`
	SHA256    string `json:"sha256"`
	Signature []byte `json:"signature"`
	Offset    int64  `json:"offset"`
	Data      []byte `json:"data"`
}

// UpgradeReceived says how much of the binary the node has. When it is
// complete, the node restarts with it, unless it runs already.
type UpgradeReceived struct {
	Received int64 `json:"received"`
	Complete bool  `json:"complete"`
	Restarts bool  `json:"restarts"`
}

// Probe asks what this server sees of others.
type Probe struct {
	Targets   []Target `json:"targets"`
	TimeoutMS int      `json:"timeout_ms"`
}

// Target is a relay, or with Token a listen of another node.
type Target struct {
	Address  string  `json:"address"`
	Port     int     `json:"port"`
	StunPort *int    `json:"stun_port,omitzero"`
	Pin      *string `json:"pin,omitzero"`
	Token    *string `json:"token,omitzero"`
}

// Probed holds one result per target, in the order asked.
type Probed struct {
	Results []ProbeResult `json:"results"`
}

// ProbeResult is what was seen of one target; null is what was not asked.
type ProbeResult struct {
	Address     string   `json:"address"`
	Port        int      `json:"port"`
	TCPMS       *float64 `json:"tcp_ms"`
	TLS         *bool    `json:"tls"`
	Pin         *bool    `json:"pin"`
	HTTP        *bool    `json:"http"`
	StunMS      *float64 `json:"stun_ms"`
	StunAddress *string  `json:"stun_address"`
	TokenTCP    *bool    `json:"token_tcp"`
	TokenUDP    *bool    `json:"token_udp"`
	Error       *string  `json:"error"`
}

// Listen opens echo listeners for a while.
type Listen struct {
	Ports   []int  `json:"ports"`
	Token   string `json:"token"`
	Seconds int    `json:"seconds"`
}

// Retire ends the node's work for this panel.
type Retire struct {
	Generation int64 `json:"generation"`
}

// Now is the current instant as the protocol writes it: UTC, microseconds.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
