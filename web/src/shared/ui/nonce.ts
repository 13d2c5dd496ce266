/** The word of this page's answer, by which the policy lets styles in that scripts make. */
export const nonce = document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce;

// Ant Design hands the word on to its own styles, but not to those with which it measures scroll
// bars and holds the page still below a dialog.
const create = document.createElement.bind(document);
document.createElement = ((name: string, options?: ElementCreationOptions) => {
  const element = create(name, options);
  if (nonce && name === "style") element.setAttribute("nonce", nonce);
  return element;
}) as typeof document.createElement;
