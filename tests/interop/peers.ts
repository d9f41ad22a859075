/**
 * The libraries of other languages: what they need, and how their programs are built and run.
 *
 * @module
 */

/** Where things are on this machine. */
export interface Places {
  /** This folder, with the programs. */
  readonly programs: string;
  /** Where programs are built. */
  readonly built: string;
  /** Node's program. */
  readonly node: string;
  /** Where npm's packages are: a folder `node_modules`. */
  readonly modules: string;
  /** RabbitMQ's plugins, with Erlang's client among them. */
  readonly plugins: string;
}

/** A library, with a client and a server of the tutorial. */
export interface Peer {
  readonly language: string;
  readonly library: string;
  /** Debian's packages; the version is that of the first. */
  readonly debian?: readonly string[];
  /** npm's package, from {@linkcode NPM}. */
  readonly npm?: string;
  /** The command that builds the program. */
  readonly build?: (places: Places) => readonly string[];
  /** The command that runs the program; `server QUEUE quorum|transient` or `client QUEUE N` is added to it. */
  readonly run: (places: Places) => readonly string[];
  readonly env?: (places: Places) => Readonly<Record<string, string>>;
  /** Why there is no server. */
  readonly clientOnly?: string;
}

/** A library that cannot be had here. */
export interface Missing {
  readonly language: string;
  readonly library: string;
  readonly reason: string;
}

/** The packages from npm, with the versions that are tried. */
export const NPM: Readonly<Record<string, string>> = {
  "amqplib": "2.3.1",
  "amqp-connection-manager": "5.0.0",
  "rabbitmq-client": "5.0.8",
  "@cloudamqp/amqp-client": "4.1.1",
  "rascal": "21.0.1",
};

/** Debian's own Python sees Debian's packages; another one on the PATH does not. */
const PYTHON = "/usr/bin/python3";

function python(library: string, module: string, more: Partial<Peer> = {}): Peer {
  return {
    language: "Python",
    library,
    debian: [`python3-${module.replace("_", "-")}`],
    run: ({ programs }) => [PYTHON, `${programs}/python/${module}_tutorial.py`],
    ...more,
  };
}

function php(library: string, name: string): Peer {
  return {
    language: "PHP",
    library,
    debian: [name === "amqplib" ? "php-amqplib" : "php-amqp", "php-cli"],
    run: ({ programs }) => ["/usr/bin/php", `${programs}/php/${name}.php`],
  };
}

function perl(library: string, debian: string, name: string): Peer {
  return {
    language: "Perl",
    library,
    debian: [debian],
    run: ({ programs }) => ["/usr/bin/perl", `${programs}/perl/${name}.pl`],
  };
}

function node(npm: string, name: string): Peer {
  return {
    language: "Node",
    library: npm,
    npm,
    run: ({ node, programs }) => [node, `${programs}/node/${name}.cjs`],
    env: ({ modules }) => ({ NODE_PATH: modules }),
  };
}

/** In the order of the table. C++ is written on rabbitmq-c, as in the tutorial. */
export const PEERS: readonly Peer[] = [
  python("pika", "pika"),
  python("aio-pika connect", "aio_pika", { env: () => ({ AIO_PIKA_CONNECT: "connect" }) }),
  python("aio-pika connect_robust", "aio_pika", { env: () => ({ AIO_PIKA_CONNECT: "connect_robust" }) }),
  python("kombu", "kombu"),
  python("aioamqp", "aioamqp"),
  {
    language: "Go",
    library: "amqp091-go",
    debian: ["golang-github-rabbitmq-amqp091-go-dev", "golang-go"],
    build: ({ programs, built }) => ["/usr/bin/go", "build", "-o", `${built}/go`, `${programs}/go/amqp091.go`],
    run: ({ built }) => [`${built}/go`],
    env: () => ({ GO111MODULE: "off", GOPATH: "/usr/share/gocode" }),
  },
  {
    language: "Java",
    library: "amqp-client",
    debian: ["librabbitmq-client-java", "default-jdk-headless"],
    build: ({ programs, built }) => {
      const jar = "/usr/share/java/amqp-client.jar";
      return ["javac", "-cp", jar, "-d", `${built}/java`, `${programs}/java/Tutorial.java`];
    },
    // SLF4J has nowhere to log to, and says so on stderr.
    run: ({ built }) => {
      const jars = ["amqp-client", "slf4j-api", "slf4j-nop"].map((name) => `/usr/share/java/${name}.jar`);
      return ["java", "-cp", [`${built}/java`, ...jars].join(":"), "Tutorial"];
    },
  },
  {
    language: "C#",
    library: "RabbitMQ.Client of Mono",
    debian: ["libmono-rabbitmq4.0-cil", "mono-mcs", "mono-runtime", "libmono-system-core4.0-cil"],
    build: ({ programs, built }) => {
      return ["mcs", "-r:RabbitMQ.Client", `-out:${built}/Tutorial.exe`, `${programs}/csharp/Tutorial.cs`];
    },
    run: ({ built }) => ["mono", `${built}/Tutorial.exe`],
  },
  php("php-amqplib", "amqplib"),
  php("extension amqp", "amqp_extension"),
  {
    language: "Ruby",
    library: "bunny",
    debian: ["ruby-bunny"],
    run: ({ programs }) => ["/usr/bin/ruby", `${programs}/ruby/bunny_tutorial.rb`],
  },
  {
    language: "C",
    library: "rabbitmq-c",
    debian: ["librabbitmq-dev", "gcc", "libc6-dev"],
    build: ({ programs, built }) => ["gcc", "-o", `${built}/c`, `${programs}/c/librabbitmq.c`, "-lrabbitmq"],
    run: ({ built }) => [`${built}/c`],
  },
  {
    language: "C++",
    library: "rabbitmq-c",
    debian: ["librabbitmq-dev", "g++"],
    build: ({ programs, built }) => ["g++", "-o", `${built}/cpp`, `${programs}/cpp/librabbitmq.cpp`, "-lrabbitmq"],
    run: ({ built }) => [`${built}/cpp`],
  },
  perl("AnyEvent::RabbitMQ", "libanyevent-rabbitmq-perl", "anyevent_rabbitmq"),
  perl("Mojo::RabbitMQ::Client", "libmojo-rabbitmq-client-perl", "mojo_rabbitmq"),
  {
    language: "Erlang",
    library: "amqp_client",
    debian: ["rabbitmq-server"],
    run: ({ programs }) => ["escript", `${programs}/erlang/amqp_client.escript`],
    env: ({ plugins }) => ({ ERL_LIBS: plugins }),
  },
  {
    language: "shell",
    library: "amqp-tools",
    debian: ["amqp-tools"],
    run: ({ programs }) => ["sh", `${programs}/shell/amqp_tools.sh`],
    clientOnly: "amqp-consume and amqp-get do not show the reply_to of a message",
  },
  node("amqplib", "amqplib"),
  node("amqp-connection-manager", "amqp_connection_manager"),
  node("rabbitmq-client", "rabbitmq_client"),
  node("@cloudamqp/amqp-client", "cloudamqp"),
  node("rascal", "rascal"),
];

/** Named in the table, with the reason. */
export const MISSING: readonly Missing[] = [
  { language: "C++", library: "AMQP-CPP", reason: "not a package of Debian 12" },
  { language: "C++", library: "SimpleAmqpClient", reason: "not a package of Debian 12" },
  { language: "Perl", library: "Net::AMQP::RabbitMQ", reason: "not a package of Debian 12" },
  { language: "C#", library: "RabbitMQ.Client of today", reason: "on NuGet only" },
  { language: "Rust", library: "lapin", reason: "on crates.io only" },
  { language: "Elixir", library: "amqp", reason: "on Hex only" },
];
