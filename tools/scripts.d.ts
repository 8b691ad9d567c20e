/** What the scripts of the package have of each other, and of others' scripts: for tsc alone. */

interface Parts {
  base?: Base;
  forms?: (base: Base, page: LivePage) => Forms;
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
  cursorsUrl: string | null;
  /** The tag of base.js, on a live page. */
  script: HTMLScriptElement | null;
}

interface Cursors {
  rendered(): void;
  online(): void;
  offline(): void;
  show(frame: object): void;
}

/** A live page, as forms know it. */
interface LivePage {
  isLive(): boolean;
  send(text: string): void;
  flush(): void;
  catchUp(): void;
}

interface Forms {
  answered(ref: number, error?: Refusal): void;
  event(name: string, params?: object): Promise<void>;
  forget(): void;
  hurry(): void;
  inform(): void;
  keepAround<T>(target: Element, patch: (options: PatchOptions) => T): T;
  lost(): void;
  shown(): void;
}

interface Refusal {
  code: string;
  message: string;
}

interface PatchOptions {
  leave: Element | null;
  set(element: Element, name: string, value: string | null): boolean;
}

interface Patcher {
  patch(target: Element, html: string, options?: PatchOptions): { skipped: boolean; late: boolean };
  copyPage(): void;
  served(element: Element): Element | undefined;
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
