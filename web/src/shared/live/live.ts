/** One event stream, kept open while the page is seen, opened again when it breaks or falls silent. */
export type LiveState = "connecting" | "live" | "stale";

export interface Source {
  readyState: number;
  close(): void;
  addEventListener(kind: string, heard: (event: { data?: string }) => void): void;
}

export interface Surroundings {
  open(address: string): Source;
  now(): number;
  later(seconds: number, call: () => void): () => void;
}

/** The server says something at least every 15 s; after this it is thought to be gone. */
export const SILENCE_SECONDS = 40;
const CLOSED = 2;
const FIRST_PAUSE_SECONDS = 2;
const LONGEST_PAUSE_SECONDS = 60;

export class LiveStream {
  private source: Source | null = null;
  private cancel: (() => void)[] = [];
  private heardAt = 0;
  private failures = 0;

  constructor(
    private readonly address: string,
    private readonly told: {
      picture(picture: unknown): void;
      state(state: LiveState): void;
      ended(): void;
    },
    private readonly around: Surroundings,
  ) {}

  start(): void {
    this.stop();
    this.told.state(this.failures === 0 ? "connecting" : "stale");
    this.heardAt = this.around.now();
    const source = this.around.open(this.address);
    this.source = source;
    source.addEventListener("open", () => this.heard());
    source.addEventListener("still", () => this.heard());
    source.addEventListener("message", (event) => {
      this.heard();
      this.told.picture(JSON.parse(event.data ?? "{}"));
    });
    source.addEventListener("end", () => {
      this.stop();
      this.told.ended();
    });
    source.addEventListener("error", () => {
      this.told.state("stale");
      // The browser tries again by itself unless the answer was a refusal.
      if (source.readyState === CLOSED) this.again();
    });
    this.watch();
  }

  stop(): void {
    for (const cancel of this.cancel) cancel();
    this.cancel = [];
    this.source?.close();
    this.source = null;
  }

  private heard(): void {
    this.heardAt = this.around.now();
    this.failures = 0;
    this.told.state("live");
  }

  private watch(): void {
    this.cancel.push(
      this.around.later(5, () => {
        if (this.around.now() - this.heardAt > SILENCE_SECONDS * 1000) {
          this.told.state("stale");
          this.again();
        } else {
          this.watch();
        }
      }),
    );
  }

  private again(): void {
    this.stop();
    this.failures += 1;
    const pause = Math.min(FIRST_PAUSE_SECONDS * 2 ** (this.failures - 1), LONGEST_PAUSE_SECONDS);
    this.cancel.push(this.around.later(pause, () => this.start()));
  }
}
