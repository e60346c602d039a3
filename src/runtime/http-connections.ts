/**
 * The connections of Node's HTTP server: shared out by address, answered one request at a time, and dropped where
 * their clients do not read.
 */

import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { Socket } from 'node:net';
import { isTrustedPeer, type Network, peerOf } from '../client-address.ts';
import { Places, type Seat } from '../places.ts';

export interface ConnectionRules {
  /** Most connections at the same time, those of the trusted proxies among them. */
  readonly most: number;
  /** Each of their connections is another client's. */
  readonly trustedProxies: readonly Network[];
  /** How long a client may take to read an answer, in milliseconds. */
  readonly readingMs: number;
}

/** The share of the places that only addresses with few connections get. */
const RESERVED = 1 / 10;

/** Requests behind the one that is being answered (RFC 9112 section 9.3.2): each keeps memory before it is looked at. */
const MOST_PIPELINED = 10;

/** Of all answers together that wait for their clients to read, in bytes. */
const MOST_UNREAD = 32 * 1024 * 1024;

const CROWDED =
  'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n';

/** `http.createServer`, by these rules. */
export function createBoundedServer(
  rules: ConnectionRules,
  options: ServerOptions,
  handle: RequestListener,
): Server {
  const connections = new Connections(rules);
  // A client may end its side once its request is written, and reads the answer all the same (RFC 9293 section 3.6).
  return Object.assign(createServer(options), { httpAllowHalfOpen: true })
    .on('connection', (socket) => connections.add(socket))
    .on('request', (request, response) => connections.of(request.socket)?.serve(request, response, handle))
    .on('checkContinue', (request, response) => {
      continueOnceRead(request, response);
      connections.of(request.socket)?.serve(request, response, handle);
    });
}

/**
 * `Expect: 100-continue` (RFC 9110 section 10.1.1): the body is asked for when it is read. Where it is not, the
 * connection ends with the answer, since the client may send the body or leave it out.
 */
function continueOnceRead(request: IncomingMessage, response: ServerResponse): void {
  const { shouldKeepAlive } = response;
  response.shouldKeepAlive = false;
  request.once('resume', () => {
    if (response.headersSent) return;
    response.shouldKeepAlive = shouldKeepAlive;
    response.writeContinue();
  });
}

class Connections {
  readonly #rules: ConnectionRules;
  readonly #places: Places;
  readonly #bySocket = new WeakMap<Socket, Connection>();
  /** Those whose client has an answer to read, the longest waiting first. */
  readonly #unread = new Set<Connection>();
  #fromProxies = 0;

  constructor(rules: ConnectionRules) {
    this.#rules = rules;
    this.#places = new Places(rules.most, Math.ceil(rules.most * RESERVED));
  }

  of(socket: Socket): Connection | undefined {
    return this.#bySocket.get(socket);
  }

  add(socket: Socket): void {
    const connection = new Connection(socket, this.#holderOf(socket), () => this.#onAnswer(connection));
    if (!this.#places.take(connection.holder, connection)) {
      socket.write(CROWDED);
      socket.destroySoon();
      return;
    }
    this.#bySocket.set(socket, connection);
    socket.once('close', () => {
      this.#places.leave(connection.holder, connection);
      this.#unread.delete(connection);
    });
  }

  #holderOf({ remoteAddress = '' }: Socket): string {
    if (!isTrustedPeer(remoteAddress, this.#rules.trustedProxies)) return peerOf(remoteAddress);
    this.#fromProxies++;
    return `proxy ${this.#fromProxies}`;
  }

  /** An answer was written that the system did not take at once. */
  #onAnswer(connection: Connection): void {
    this.#unread.delete(connection);
    this.#unread.add(connection);
    const late = setTimeout(() => connection.giveWay(), this.#rules.readingMs);
    connection.onceRead(() => {
      clearTimeout(late);
      this.#unread.delete(connection);
    });
    while (this.#unreadBytes() > MOST_UNREAD) this.#dropUnread();
  }

  #unreadBytes(): number {
    let bytes = 0;
    for (const connection of this.#unread) bytes += connection.unread;
    return bytes;
  }

  /** The longest waiting answer of who has most of them. */
  #dropUnread(): void {
    const byHolder = Map.groupBy(this.#unread, ({ holder }) => holder);
    const bytesOf = (of: readonly Connection[]) => of.reduce((sum, { unread }) => sum + unread, 0);
    const [[longest] = []] = [...byHolder.values()].sort((one, other) => bytesOf(other) - bytesOf(one));
    if (!longest) return;
    this.#unread.delete(longest);
    longest.giveWay();
  }
}

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

class Connection implements Seat {
  readonly holder: string;
  readonly #socket: Socket;
  readonly #onAnswer: () => void;
  readonly #pipelined: (() => void)[] = [];
  #since = performance.now();
  #exchange: Exchange | null = null;

  /** @param onAnswer - called for an answer that stays in memory for now */
  constructor(socket: Socket, holder: string, onAnswer: () => void) {
    this.#socket = socket;
    this.holder = holder;
    this.#onAnswer = onAnswer;
  }

  /** An idle client, one that is still sending its request, and one that has its answer to read are waited for. */
  get waitingSince(): number | null {
    const isOurTurn = this.#exchange?.request.complete === true && !this.#exchange.response.writableEnded;
    return isOurTurn ? null : this.#since;
  }

  /** Bytes that the client has not read yet. */
  get unread(): number {
    return this.#socket.writableLength;
  }

  giveWay(): void {
    this.#socket.destroy();
  }

  /** Calls back when the answer that is being read has been, or never will be. */
  onceRead(read: () => void): void {
    this.#exchange?.response.once('close', read);
  }

  serve(request: IncomingMessage, response: ServerResponse, handle: RequestListener): void {
    if (this.#socket.destroyed) return;
    if (this.#exchange !== null) {
      this.#pipelined.push(() => this.serve(request, response, handle));
      if (this.#pipelined.length > MOST_PIPELINED) this.giveWay();
      return;
    }
    this.#exchange = { request, response };
    response.once('prefinish', () => {
      this.#since = performance.now();
      if (this.unread > 0) this.#onAnswer();
    });
    response.once('close', () => {
      this.#exchange = null;
      this.#pipelined.shift()?.();
    });
    handle(request, response);
  }
}
