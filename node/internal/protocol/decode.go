package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Decode reads one JSON document into a message: unknown, repeated, missing
// and wrongly typed members are refused, names are case-sensitive. Only
// members marked omitzero may be absent.
func Decode[T any](raw []byte) (T, error) {
	var message T
	if len(bytes.TrimSpace(raw)) == 0 {
		raw = []byte("{}")
	}
	if err := json.Unmarshal(raw, &message, json.RejectUnknownMembers(true)); err != nil {
		return message, Invalid("%s", plain(err))
	}
	if err := present(jsontext.Value(raw), reflect.TypeFor[T](), ""); err != nil {
		return message, Invalid("%s", err)
	}
	return message, nil
}

// Invalid is a message that is not of the protocol.
func Invalid(format string, arguments ...any) *Error {
	return &Error{Code: "protocol.invalid", Message: fmt.Sprintf(format, arguments...)}
}

// plain keeps where and what of a decoding error, and none of the value: it may be a key.
func plain(err error) string {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		what := "has the wrong type"
		if semantic.Err == json.ErrUnknownName {
			what = "is not known"
		}
		return fmt.Sprintf("%s %s", place(semantic.JSONPointer), what)
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Sprintf("not JSON as expected near %s at byte %d", place(syntax.JSONPointer), syntax.ByteOffset)
	}
	return "not a message"
}

func place(pointer jsontext.Pointer) string {
	if pointer == "" {
		return "the message"
	}
	return string(pointer)
}

// present refuses objects that leave out a member their type demands: a
// missing "running" must not read as false, a missing "expires_at" not as never.
func present(raw jsontext.Value, t reflect.Type, at string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Struct && raw.Kind() == '{':
		required := membersOf(t)
		if len(required) == 0 {
			return nil
		}
		var members map[string]jsontext.Value
		if err := json.Unmarshal(raw, &members); err != nil {
			return err
		}
		for _, member := range required {
			value, found := members[member.name]
			switch {
			case found:
				if err := present(value, member.kind, at+"/"+member.name); err != nil {
					return err
				}
			case !member.optional:
				return fmt.Errorf("%s/%s is missing", at, member.name)
			}
			if found && value.Kind() == 'n' && !member.nullable {
				return fmt.Errorf("%s/%s must not be null", at, member.name)
			}
		}
	case t.Kind() == reflect.Slice && raw.Kind() == '[' && t.Elem().Kind() == reflect.Struct:
		var elements []jsontext.Value
		if err := json.Unmarshal(raw, &elements); err != nil {
			return err
		}
		for i, element := range elements {
			if element.Kind() == 'n' {
				return fmt.Errorf("%s/%d must not be null", at, i)
			}
			if err := present(element, t.Elem(), fmt.Sprintf("%s/%d", at, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

type member struct {
	name               string
	kind               reflect.Type
	optional, nullable bool
}

var memberCache sync.Map // reflect.Type -> []member

func membersOf(t reflect.Type) []member {
	if cached, ok := memberCache.Load(t); ok {
		return cached.([]member)
	}
	var members []member
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		if tag == "" {
			continue // not one of our messages, such as time.Time
		}
		name, options, _ := strings.Cut(tag, ",")
		members = append(members, member{
			name:     name,
			kind:     field.Type,
			optional: strings.Contains(options, "omitzero"),
			nullable: field.Type.Kind() == reflect.Pointer || field.Type == reflect.TypeFor[jsontext.Value](),
		})
	}
	memberCache.Store(t, members)
	return members
}

// Encode writes a message as one line.
func Encode(message any) ([]byte, error) {
	line, err := json.Marshal(message)
	if err != nil {
		return nil, err
	}
	return append(line, '\n'), nil
}
