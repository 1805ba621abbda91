package paths;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.file.Files;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;
import org.apache.catalina.startup.Tomcat;
import org.apache.tomcat.util.buf.EncodedSolidusHandling;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.http.UriCompliance;
import org.eclipse.jetty.server.HttpConfiguration;
import org.eclipse.jetty.server.HttpConnectionFactory;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;

/**
 * Tomcat and Jetty, each as it comes and as lenient as it can be set. Two tenants lie side by side, at /fhir/tenantA and
 * /fhir/tenantB; each answers its name. Loopback only; the ports are printed, and the end of the input ends it.
 */
public final class PathServers {

  private static final class Tenant extends HttpServlet {
    private final String name;

    Tenant(String name) {
      this.name = name;
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
      response.setHeader("X-Tenant", name);
      response.getWriter().print(name);
    }
  }

  public static void main(String[] args) throws Exception {
    System.out.println("tomcat " + tomcat(false));
    System.out.println("tomcat-lenient " + tomcat(true));
    System.out.println("jetty " + jetty(false));
    System.out.println("jetty-lenient " + jetty(true));
    System.out.println("ready");
    while (System.in.read() >= 0) {
      // until the test that started us closes our input
    }
    System.exit(0);
  }

  private static int tomcat(boolean lenient) throws Exception {
    Tomcat tomcat = new Tomcat();
    String folder = Files.createTempDirectory("path-servers").toString();
    tomcat.setBaseDir(folder);
    Connector connector = new Connector();
    connector.setPort(0);
    connector.setProperty("address", "127.0.0.1");
    if (lenient) {
      connector.setEncodedSolidusHandling(EncodedSolidusHandling.DECODE.getValue());
      connector.setProperty("allowBackslash", "true");
      connector.setAllowBackslash(true);
      connector.setProperty("relaxedPathChars", "\"<>[\\]^`{|}");
    }
    tomcat.setConnector(connector);
    Context context = tomcat.addContext("", folder);
    for (String name : new String[] {"tenantA", "tenantB"}) {
      Tomcat.addServlet(context, name, new Tenant(name));
      context.addServletMappingDecoded("/fhir/" + name + "/*", name);
    }
    tomcat.start();
    return connector.getLocalPort();
  }

  private static int jetty(boolean lenient) throws Exception {
    Server server = new Server();
    HttpConfiguration settings = new HttpConfiguration();
    if (lenient) {
      settings.setUriCompliance(UriCompliance.UNSAFE);
    }
    ServerConnector connector = new ServerConnector(server, new HttpConnectionFactory(settings));
    connector.setHost("127.0.0.1");
    server.addConnector(connector);
    ServletContextHandler context = new ServletContextHandler("/");
    context.getServletHandler().setDecodeAmbiguousURIs(lenient);
    for (String name : new String[] {"tenantA", "tenantB"}) {
      context.addServlet(new ServletHolder(name, new Tenant(name)), "/fhir/" + name + "/*");
    }
    server.setHandler(context);
    server.start();
    return connector.getLocalPort();
  }
}
