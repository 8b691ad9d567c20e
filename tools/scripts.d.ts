/** What the scripts of the package have of each other, and of others' scripts: for tsc alone. */

/** `document[Symbol.for("djust_presence.parts")]`: what each script has added by now. */
interface Parts {
  base?: Base;
  forms?: (base: Base, page: LivePage) => Forms;
  /** Start the page, once all that it needs is there; called again after a boosted navigation. */
  presence?: () => void;
  djust?: () => void;
}

interface Base {
  bare<T extends object>(node: T): T;
  cursors(send: (frame: object) => void): Cursors;
  document: Document;
  emit(type: string, detail?: unknown, source?: Node): void;
  offer(name: string, value: unknown): void;
  paint(root: ParentNode): void;
  plainColor(value: unknown): string;
  warn(text: string): void;
  HELP: string;
  SCRIPT_RETRY: number;
  /** Where cursors.js is: `data-cursors` of the tag. */
  cursorsUrl: string | null;
  /** The tag of base.js, on a live page. Its `data-socket-prefix` goes in front of the path in the socket's URL. */
  script: HTMLScriptElement | null;
}

interface Cursors {
  /** The page may have got its first surface, or another. */
  rendered(): void;
  online(): void;
  offline(): void;
  show(frame: object): void;
}

/** A live page, as forms know it. */
interface LivePage {
  isLive(): boolean;
  send(text: string): void;
  /** Show what has come and waits. */
  flush(): void;
  /** Show what an element that was being edited has missed. */
  catchUp(): void;
}

interface Forms {
  answered(ref: number, error?: Refusal): void;
  /** Call an event handler of the view. The promise is kept when it was handled, else it fails with an Error. */
  event(name: string, params?: object): Promise<void>;
  /** The view is left for another. */
  forget(): void;
  hurry(): void;
  inform(): void;
  /** Show new content of an element, by `patch(options)`, and return what that returns. */
  keepAround<T>(target: Element, patch: (options: PatchOptions) => T): T;
  /** The socket is gone, and with it the answers that it owed. */
  lost(): void;
  /** All that came is shown. */
  shown(): void;
}

interface Refusal {
  code: string;
  message: string;
}

interface PatchOptions {
  /** An element that is not touched now. */
  leave: Element | null;
  /** Take an attribute's new value (null: none), and return true, or leave it to the patcher. */
  set(element: Element, name: string, value: string | null): boolean;
}

/**
 * `document[Symbol.for("djust_presence.patch")]`; the document hears `djust_presence.patch` when it is made.
 *
 * Its first replica is a copy of the page as it is where patch.js stands. A script that changes the page before that
 * counts as the server; one that is deferred, or waits for DOMContentLoaded, does not.
 */
interface Patcher {
  /**
   * Show `html` as the content of `target`, or as the page if that is <html>. `skipped`: `leave` was in the way;
   * `late`: so was an element that is being edited. The same HTML, patched again, makes up for both.
   */
  patch(target: Element, html: string, options?: PatchOptions): { skipped: boolean; late: boolean };
  /** Copy the page again, after a navigation that has swapped its body. */
  copyPage(): void;
  /** The replica of an element, or undefined if the server has not rendered it. */
  served(element: Element): Element | undefined;
  /** The URL as `script.src` takes it under Trusted Types. */
  scriptURL(url: string): string;
}

interface DocumentEventMap {
  [name: `presence:${string}`]: CustomEvent;
  [name: `presence-client:${string}`]: CustomEvent;
}

interface WindowEventMap {
  [name: `presence:${string}`]: CustomEvent;
  // biome-ignore lint/suspicious/noExplicitAny: whatever the view has pushed
  "djust:push_event": CustomEvent<{ event: string; payload: any }>;
}

interface Window {
  djust?: { liveViewInstance?: { ws?: WebSocket; viewMounted?: boolean } };
  djustPresence: { event(name: string, params?: object): Promise<void> };
  fuzz(seed: number, pages: number, acts: number): object;
  htmx?: { process?(root: Element): void };
  race(...values: unknown[]): object;
  // biome-ignore lint/suspicious/noExplicitAny: not in TypeScript's library
  trustedTypes?: any;
}

// biome-ignore lint/suspicious/noExplicitAny: htmx 4, of a benchmark
declare const htmx: any;
