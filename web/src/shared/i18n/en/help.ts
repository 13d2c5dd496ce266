import type { help as texts } from "../zh-CN/help";

export const help: typeof texts = {
  help: {
    title: "Doctor and help",
    intro: "Your relays, devices and configuration, looked at one by one, and what to do.",
    server: "From the servers' side",
    serverHint: "What our servers see, live.",
    relayOk: "The relay runs and takes connections.",
    relayStarting: "The relay is starting, which takes some seconds.",
    relayStopped: "The relay is stopped. Reason: {{reason}}",
    relayBad: "The relay does not work well and is being repaired. Reason: {{reason}}",
    relayUnknown:
      "The server has not reported this relay yet. If it stays so for minutes, the administrators are told.",
    connected: "Devices using it: {{count}}",
    nobody:
      "No device is connected here now. Devices connect to their nearest relay only, so this is nothing bad.",
    noRental: "Without a rental there is no relay to look at.",
    deviceNone: "No device is registered, so none can use the relays. Register one first.",
    deviceNever: "Registered devices never connected. Is the ACL applied to the tailnet?",
    deviceOk: "Registered devices online: {{count}}.",
    deviceOffline: "No registered device is online now.",
    knocks:
      "Devices that are not registered tried to connect: {{count}}. If they are yours, approve them under Devices.",
    aclOk: "ACL version {{version}} works until {{date}}.",
    aclOld: "The ACL has ended. Take the new version and apply it.",
    quotaOver: "This period's traffic is used up. Renewing opens it at once.",
    netcheck: "Look at your network",
    netcheckHint:
      "Run tailscale netcheck on a device of yours and paste what it prints. It is read in this browser and sent nowhere.",
    policy: "Look at your policy",
    policyHint:
      "Paste a Tailscale policy, a derpMap or a DERP file of headscale: common faults are found. It is not kept.",
    check: "Check",
    fine: "No fault was found.",
    paste: "Paste here",
    line: "line {{line}}",
    severity: { error: "Error", warning: "Warning", info: "Note" },
    verdict: {
      notNetcheck: "This does not look like what tailscale netcheck prints.",
      udpOk: "UDP works, so devices can try direct paths.",
      udpBlocked:
        "UDP is blocked by your network: devices find no direct path and everything goes through relays. Allow outgoing UDP.",
      regionsMissing:
        "Your relays (regions {{regions}}) are not in it: the ACL is not applied to this tailnet, or the device has not got it yet.",
      regionSilent:
        "No latency was measured for regions {{regions}}: STUN is blocked, or the relay cannot be reached. Does your firewall let their UDP ports through?",
      regionsOk: "Latency of your relays: {{list}}.",
      nearestMine: "The nearest relay is yours, {{region}}: the device uses it.",
      nearestOther:
        "The nearest relay is {{region}}, which is not yours, and the device prefers it. To use your own only, choose “Without Tailscale's own relays” on the ACL page.",
      nearestUnknown: "There is no nearest relay: the device reaches none at all now.",
      captive: "A captive portal was found: log in to this network with a browser first.",
    },
    finding: {
      policy_empty: "There is nothing in it.",
      policy_not_object: "It should be an object, from { to }.",
      policy_duplicate_key: "A key stands there twice; only the last counts.",
      policy_too_big: "It is too large.",
      policy_syntax: "It cannot be read here.",
      policy_unknown_key: "There is no “{{key}}”; Tailscale ignores or refuses it.",
      policy_wrong_type: "This is of the wrong kind; it should be {{expected}}.",
      derp_map_missing: "The policy has no derpMap: devices use Tailscale's own relays only.",
      yaml_syntax: "The YAML cannot be read: {{reason}}",
      yaml_derp_map_wrapper:
        "A file for headscale has no derpMap around it and begins with regions.",
      yaml_key_case: "Keys for headscale are written in small letters.",
      region_key_not_a_number: "The key “{{key}}” of a region should be a number.",
      region_clash: "Region {{region_id}} clashes with your relays.",
      region_id_unwise: "Region {{region_id}} may clash with Tailscale's own; use 900 to 999.",
      region_id_not_for_users:
        "Region {{region_id}} is not among 900 to 999, which Tailscale keeps for users.",
      region_avoid_deprecated: "Avoid is deprecated.",
      region_no_nodes: "This region has no nodes.",
      region_duplicate: "Region {{region_id}} stands there twice.",
      node_name_missing: "A node has no Name.",
      node_name_duplicate: "The node name “{{name}}” stands there twice.",
      node_name_taken: "The node name “{{name}}” is used by another node of yours.",
      node_insecure:
        "InsecureForTests switches the certificate check off: anybody can pass for this relay.",
      node_test_address: "STUNTestIP is for tests only.",
      node_host_missing: "A node has no HostName.",
      node_address_malformed: "The address “{{address}}” is malformed.",
      node_no_address: "A node has no address, so devices have to look its name up.",
      node_port_range: "A port is out of range.",
      node_stun_off: "STUN is off: devices cannot measure this relay and never choose it.",
      node_pin_case: "The pin of the certificate must be in small letters.",
      node_pin_malformed: "The pin of the certificate is malformed.",
      node_pin_missing: "There is no pin: a relay at an IP address fails the certificate check.",
      omit_default_regions_kept: "OmitDefaultRegions stays as your policy has it.",
    },
  },
};
