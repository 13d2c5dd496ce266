import { account } from "./account";
import { acl } from "./acl";
import { common } from "./common";
import { devices } from "./devices";
import { errors, reasons } from "./errors";
import { help } from "./help";
import { home } from "./home";
import { link } from "./link";
import { sales } from "./sales";
import { usage } from "./usage";
import { wallet } from "./wallet";

export default {
  ...common,
  ...home,
  ...devices,
  ...acl,
  ...usage,
  ...account,
  ...help,
  ...wallet,
  ...link,
  ...sales,
  errors,
  reasons,
};
