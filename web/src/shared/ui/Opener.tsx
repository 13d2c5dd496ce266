import { Button, type ButtonProps } from "antd";
import { type ReactNode, Suspense, useState } from "react";

export interface Opened {
  open: boolean;
  close: () => void;
}

/** A button and its dialog, which is loaded when the button is first pressed. */
export function Opener(
  props: Omit<ButtonProps, "onClick"> & { dialog: (opened: Opened) => ReactNode },
) {
  const { dialog, ...button } = props;
  const [open, setOpen] = useState(false);
  const [wasOpened, setOpened] = useState(false);
  const start = () => {
    setOpened(true);
    setOpen(true);
  };
  return (
    <>
      <Button {...button} onClick={start} />
      {wasOpened && <Suspense>{dialog({ open, close: () => setOpen(false) })}</Suspense>}
    </>
  );
}
